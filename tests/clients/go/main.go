// What every client program does, with the Go SDK: prints one JSON object, an entry for each exercise that is named.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/respjson"
)

type object = map[string]any

var (
	ctx     = context.Background()
	weather = anthropic.ToolUnionParam{OfTool: &anthropic.ToolParam{
		Name:        "weather",
		InputSchema: anthropic.ToolInputSchemaParam{Properties: object{"city": object{"type": "string"}}},
	}}
)

func asks(text string) anthropic.MessageNewParams {
	question := anthropic.NewUserMessage(anthropic.NewTextBlock(text))
	return anthropic.MessageNewParams{
		Model: "claude-haiku-5-5", MaxTokens: 99, Messages: []anthropic.MessageParam{question},
	}
}

func message(client anthropic.Client) any {
	var response *http.Response
	answer := must(client.Messages.New(ctx, asks("Hello"), option.WithResponseInto(&response)))
	return object{
		"text":          answer.Content[0].Text,
		"stop_reason":   answer.StopReason,
		"model":         answer.Model,
		"output_tokens": answer.Usage.OutputTokens,
		"request_id":    response.Header.Get("request-id"),
		"revision":      response.Header.Get("x-claude-revision"),
	}
}

func stream(client anthropic.Client) any {
	events := client.Messages.NewStreaming(ctx, asks("Hello"))
	answer, text := anthropic.Message{}, ""
	for events.Next() {
		event := events.Current()
		check(answer.Accumulate(event))
		if delta, ok := event.AsAny().(anthropic.ContentBlockDeltaEvent); ok {
			text += delta.Delta.Text
		}
	}
	check(events.Err())
	return object{"text": text, "stop_reason": answer.StopReason, "output_tokens": answer.Usage.OutputTokens}
}

func tools(client anthropic.Client) any {
	params, calls := asks("How is the weather?"), []object{}
	params.Tools = []anthropic.ToolUnionParam{weather}
	for {
		answer := must(client.Messages.New(ctx, params))
		results := []anthropic.ContentBlockParamUnion{}
		for _, block := range answer.Content {
			if used, ok := block.AsAny().(anthropic.ToolUseBlock); ok {
				calls = append(calls, object{"name": used.Name, "input": used.Input})
				results = append(results, anthropic.NewToolResultBlock(used.ID, "rain", false))
			}
		}
		if len(results) == 0 {
			return object{"calls": calls, "stop_reason": answer.StopReason, "text": answer.Content[0].Text}
		}
		params.Messages = append(params.Messages, answer.ToParam(), anthropic.NewUserMessage(results...))
	}
}

func count(client anthropic.Client) any {
	params := anthropic.MessageCountTokensParams{Model: "claude-haiku-5-5", Messages: asks("Hello").Messages}
	return must(client.Messages.CountTokens(ctx, params)).InputTokens
}

// absent returns the keys that the SDK's types declare and the answer lacks.
func absent(value reflect.Value, place string) (found []string) {
	kinds := value.FieldByName("JSON")
	if !kinds.IsValid() {
		return nil
	}
	for _, field := range reflect.VisibleFields(value.Type()) {
		state := kinds.FieldByName(field.Name)
		if !state.IsValid() || state.Type() != reflect.TypeFor[respjson.Field]() {
			continue
		}
		key := place + field.Tag.Get("json")
		if known := state.Interface().(respjson.Field); known.Raw() == "" {
			found = append(found, key)
		} else if inner := value.FieldByIndex(field.Index); inner.Kind() == reflect.Struct && known.Raw() != "null" {
			found = append(found, absent(inner, key+".")...)
		}
	}
	return found
}

func models(client anthropic.Client) any {
	ids, lacks := []string{}, []string{}
	pages := client.Models.ListAutoPaging(ctx, anthropic.ModelListParams{Limit: anthropic.Int(4)})
	for pages.Next() {
		model := pages.Current()
		ids = append(ids, model.ID)
		lacks = append(lacks, absent(reflect.ValueOf(model), "")...)
	}
	check(pages.Err())
	beta := client.Beta.Models.ListAutoPaging(ctx, anthropic.BetaModelListParams{})
	for beta.Next() {
		lacks = append(lacks, absent(reflect.ValueOf(beta.Current()), "")...)
	}
	check(beta.Err())
	slices.Sort(lacks)
	return object{"ids": ids, "absent": slices.Compact(lacks)}
}

func model(client anthropic.Client) any {
	one := must(client.Models.Get(ctx, "claude-opus-5-5", anthropic.ModelGetParams{}))
	thinks := one.Capabilities.Thinking.Types.Adaptive.Supported
	return object{"id": one.ID, "lifecycle": one.Lifecycle, "thinks": thinks}
}

func failure(client anthropic.Client, text string, options ...option.RequestOption) any {
	_, err := client.Messages.New(ctx, asks(text), options...)
	var wrong *anthropic.Error
	if !errors.As(err, &wrong) {
		return fmt.Sprint(err)
	}
	return object{"class": fmt.Sprintf("%T", wrong), "status": wrong.StatusCode, "type": wrong.Type()}
}

func main() {
	session := option.WithHeader("x-claude-session-id", "go-session")
	client := anthropic.NewClient(option.WithMaxRetries(0), session)
	fail := func(text string, options ...option.RequestOption) func(anthropic.Client) any {
		return func(client anthropic.Client) any { return failure(client, text, options...) }
	}
	exercises := map[string]func(anthropic.Client) any{
		"message":     message,
		"stream":      stream,
		"tools":       tools,
		"count":       count,
		"models":      models,
		"model":       model,
		"rate_limit":  fail("Hit the rate limit"),
		"overload":    fail("Be overloaded"),
		"bad_request": fail(""),
		"retried":     fail("Be overloaded twice", option.WithMaxRetries(1)),
		"wrong_key":   fail("Who am I?", option.WithAPIKey("wrong"), option.WithMaxRetries(2)),
	}
	done := object{}
	for _, name := range os.Args[1:] {
		done[name] = exercises[name](client)
	}
	check(json.NewEncoder(os.Stdout).Encode(done))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
