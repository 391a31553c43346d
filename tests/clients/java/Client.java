// What every client program does, with the Java SDK: prints one JSON object, an entry for each exercise that is named.

import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.core.JsonField;
import com.anthropic.core.JsonValue;
import com.anthropic.errors.AnthropicServiceException;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.beta.messages.ThreadCreateParams;
import com.anthropic.models.messages.*;
import com.anthropic.models.models.ModelListParams;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.*;

public final class Client {
    static final String MODEL = "claude-haiku-5-5";

    static MessageCreateParams.Builder asks(String text) {
        return MessageCreateParams.builder().model(MODEL).maxTokens(99).addUserMessage(text);
    }

    static Object message(AnthropicClient client) {
        try (var response = client.messages().withRawResponse().create(asks("Hello").build())) {
            var answer = response.parse();
            return entry(
                    "text", answer.content().get(0).asText().text(),
                    "stop_reason", answer.stopReason().get().asString(),
                    "model", answer.model().asString(),
                    "output_tokens", answer.usage().outputTokens(),
                    "request_id", response.requestId().get(),
                    "revision", response.headers().values("x-claude-revision").get(0));
        }
    }

    static Object stream(AnthropicClient client) {
        var accumulator = MessageAccumulator.create();
        var text = new StringBuilder();
        try (var events = client.messages().createStreaming(asks("Hello").build())) {
            events.stream().forEach(event -> {
                accumulator.accumulate(event);
                event.contentBlockDelta().flatMap(delta -> delta.delta().text()).ifPresent(piece -> text.append(piece.text()));
            });
        }
        var answer = accumulator.message();
        return entry("text", text.toString(), "stop_reason", answer.stopReason().get().asString(),
                "output_tokens", answer.usage().outputTokens());
    }

    static Object tools(AnthropicClient client) {
        var properties = Tool.InputSchema.Properties.builder()
                .putAdditionalProperty("city", JsonValue.from(Map.of("type", "string"))).build();
        var tool = Tool.builder().name("weather")
                .inputSchema(Tool.InputSchema.builder().properties(properties).build()).build();
        var params = asks("How is the weather?").addTool(tool);
        var calls = new ArrayList<Object>();
        while (true) {
            var answer = client.messages().create(params.build());
            var results = new ArrayList<ContentBlockParam>();
            for (var block : answer.content()) {
                block.toolUse().ifPresent(used -> {
                    calls.add(entry("name", used.name(), "input", used._input().convert(Map.class)));
                    results.add(ContentBlockParam.ofToolResult(
                            ToolResultBlockParam.builder().toolUseId(used.id()).content("rain").build()));
                });
            }
            if (results.isEmpty()) {
                return entry("calls", calls, "stop_reason", answer.stopReason().get().asString(),
                        "text", answer.content().get(0).asText().text());
            }
            params.addMessage(answer).addUserMessageOfContentBlockParams(results);
        }
    }

    static Object count(AnthropicClient client) {
        var params = MessageCountTokensParams.builder().model(MODEL).addUserMessage("Hello").build();
        return client.messages().countTokens(params).inputTokens();
    }

    /** The keys that the SDK's types declare, and the answer lacks. */
    static void absent(Object value, String place, Set<String> found) throws ReflectiveOperationException {
        for (var method : value.getClass().getMethods()) {
            if (method.getName().startsWith("_") && JsonField.class.isAssignableFrom(method.getReturnType())) {
                var field = (JsonField<?>) method.invoke(value);
                var key = place + method.getName().substring(1);
                if (field.isMissing()) {
                    found.add(key);
                } else if (field.asKnown().isPresent() && field.asKnown().get().getClass().getName().startsWith("com.anthropic.models")) {
                    absent(field.asKnown().get(), key + ".", found);
                }
            }
        }
    }

    static Object models(AnthropicClient client) throws ReflectiveOperationException {
        var ids = new ArrayList<String>();
        var lacks = new TreeSet<String>();
        for (var each : client.models().list(ModelListParams.builder().limit(4).build()).autoPager()) {
            ids.add(each.id());
            absent(each, "", lacks);
        }
        for (var each : client.beta().models().list().autoPager()) {
            absent(each, "", lacks);
        }
        if (lacks.isEmpty()) client.models().list().autoPager().forEach(each -> each.validate());
        return entry("ids", ids, "absent", lacks);
    }

    static Object model(AnthropicClient client) {
        var one = client.models().retrieve("claude-opus-5-5");
        var thinks = one.capabilities().get().thinking().types().adaptive().supported();
        return entry("id", one.id(), "lifecycle", one.lifecycle().asString(), "thinks", thinks);
    }

    static Object error(AnthropicClient client, String text) {
        try {
            return client.messages().create(asks(text).build()).id();
        } catch (AnthropicServiceException wrong) {
            return entry("class", wrong.getClass().getSimpleName(), "status", wrong.statusCode(),
                    "type", wrong.errorType().get().toString());
        }
    }

    static Object thread(AnthropicClient client) {
        var held = client.beta().messages().thread(
                ThreadCreateParams.builder().model(MODEL).maxTokens(99).system("Speak briefly.").build());
        var first = held.send("Hello");
        try (var events = held.sendStreaming("And again")) {
            events.stream().forEach(event -> {});
        }
        var last = held.previousMessageId().get();
        return entry("turns", held.messages().size(), "continues", !last.equals(first.id()));
    }

    static AnthropicClient client(String key, int retries) {
        var builder = AnthropicOkHttpClient.builder().fromEnv().maxRetries(retries);
        builder.putHeader("x-claude-session-id", "java-session");
        return (key == null ? builder : builder.apiKey(key)).build();
    }

    static Map<String, Object> entry(Object... pairs) {
        var map = new LinkedHashMap<String, Object>();
        for (int at = 0; at < pairs.length; at += 2) {
            map.put((String) pairs[at], pairs[at + 1]);
        }
        return map;
    }

    interface Exercise {
        Object apply(AnthropicClient client) throws Exception;
    }

    public static void main(String[] names) throws Exception {
        var exercises = new HashMap<String, Exercise>();
        exercises.put("message", Client::message);
        exercises.put("stream", Client::stream);
        exercises.put("tools", Client::tools);
        exercises.put("count", Client::count);
        exercises.put("models", Client::models);
        exercises.put("model", Client::model);
        exercises.put("rate_limit", client -> error(client, "Hit the rate limit"));
        exercises.put("overload", client -> error(client, "Be overloaded"));
        exercises.put("bad_request", client -> error(client, ""));
        exercises.put("retried", client -> error(client(null, 1), "Be overloaded twice"));
        exercises.put("wrong_key", client -> error(client("wrong", 2), "Who am I?"));
        exercises.put("thread", Client::thread);
        var client = client(null, 0);
        var done = entry();
        for (var name : names) {
            done.put(name, exercises.get(name).apply(client));
        }
        System.out.println(JsonMapper.builder().build().writeValueAsString(done));
        System.exit(0);
    }
}
