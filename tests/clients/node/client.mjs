// What every client program does, with the TypeScript SDK: prints one JSON object, an entry for each exercise that is named.
import Anthropic from '@anthropic-ai/sdk';
import { readFileSync } from 'node:fs';

const model = 'claude-haiku-5-5';
const weather = { name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } };
const asks = (text) => [{ role: 'user', content: text }];

async function message(client) {
  const { data, response } = await client.messages
    .create({ model, max_tokens: 99, messages: asks('Hello') })
    .withResponse();
  return {
    text: data.content[0].text,
    stop_reason: data.stop_reason,
    model: data.model,
    output_tokens: data.usage.output_tokens,
    request_id: data._request_id,
    revision: response.headers.get('x-claude-revision'),
  };
}

async function stream(client) {
  let text = '';
  const events = client.messages.stream({ model, max_tokens: 99, messages: asks('Hello') });
  events.on('text', (piece) => (text += piece));
  const answer = await events.finalMessage();
  return { text, stop_reason: answer.stop_reason, output_tokens: answer.usage.output_tokens };
}

async function tools(client) {
  const messages = asks('How is the weather?');
  const calls = [];
  for (;;) {
    const answer = await client.messages.create({ model, max_tokens: 99, messages, tools: [weather] });
    const used = answer.content.filter((block) => block.type === 'tool_use');
    if (!used.length) return { calls, stop_reason: answer.stop_reason, text: answer.content[0].text };
    calls.push(...used.map(({ name, input }) => ({ name, input })));
    const results = used.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'rain' }));
    messages.push({ role: 'assistant', content: answer.content }, { role: 'user', content: results });
  }
}

async function count(client) {
  return (await client.messages.countTokens({ model, messages: asks('Hello') })).input_tokens;
}

/** The keys of the interfaces in a declaration file: name -> [[key, type], ...]. */
function declared(resource) {
  const path = import.meta.resolve('@anthropic-ai/sdk').replace('file://', '').replace(/[^/]*$/, resource);
  const text = readFileSync(path, 'utf8').replace(/\/\*\*[\s\S]*?\*\//g, '');
  const found = {};
  for (const [, name, body] of text.matchAll(/export interface (\w+) \{([^}]*)\}/g))
    found[name] = [...body.matchAll(/(\w+)\??: ([^;]+);/g)].map(([, key, type]) => [key, type]);
  return found;
}

function absent(value, name, types, place = '') {
  return (types[name] ?? []).flatMap(([key, type]) => {
    if (!(key in value)) return [place + key];
    const inner = type.split(' ')[0].split('.').pop();
    return types[inner] && value[key] !== null ? absent(value[key], inner, types, `${place}${key}.`) : [];
  });
}

async function models(client) {
  const listed = [];
  for await (const each of client.models.list({ limit: 4 })) listed.push(each);
  const lacks = new Set(listed.flatMap((each) => absent(each, 'ModelInfo', declared('resources/models.d.ts'))));
  const beta = { ...declared('resources/models.d.ts'), ...declared('resources/beta/models.d.ts') };
  for await (const each of client.beta.models.list({ limit: 1000 }))
    absent(each, 'BetaModelInfo', beta).forEach((key) => lacks.add(key));
  return { ids: listed.map(({ id }) => id), absent: [...lacks].sort() };
}

async function one(client) {
  const { id, lifecycle, capabilities } = await client.models.retrieve('claude-opus-5-5');
  return { id, lifecycle, thinks: capabilities.thinking.types.adaptive.supported };
}

async function error(client, text) {
  try {
    await client.messages.create({ model, max_tokens: 99, messages: asks(text) });
  } catch (wrong) {
    return { class: wrong.constructor.name, status: wrong.status, type: wrong.error?.error?.type };
  }
  return null;
}

async function thread(client) {
  const held = client.beta.messages.thread({ model, max_tokens: 99, system: 'Speak briefly.' });
  const first = await held.send({ role: 'user', content: 'Hello' });
  const second = await held.stream({ role: 'user', content: 'And again' }).finalMessage();
  return { turns: held.messages.length, continues: held.previousMessageId === second.id && second.id !== first.id };
}

async function runner(client) {
  const run = client.beta.messages.toolRunner({
    model,
    max_tokens: 99,
    messages: asks('How is the weather?'),
    tools: [{ ...weather, run: async ({ city }) => `rain in ${city}`, parse: (input) => input }],
  });
  const reasons = [];
  for await (const answer of run) reasons.push(answer.stop_reason);
  return { stop_reasons: reasons };
}

const exercises = {
  message,
  stream,
  tools,
  count,
  models,
  model: one,
  rate_limit: (client) => error(client, 'Hit the rate limit'),
  overload: (client) => error(client, 'Be overloaded'),
  bad_request: (client) => error(client, ''),
  retried: (client) => error(client.withOptions({ maxRetries: 1 }), 'Be overloaded twice'),
  wrong_key: (client) => error(client.withOptions({ apiKey: 'wrong', maxRetries: 2 }), 'Who am I?'),
  thread,
  runner,
};
const client = new Anthropic({ maxRetries: 0, defaultHeaders: { 'x-claude-session-id': 'typescript-session' } });
const done = {};
for (const name of process.argv.slice(2)) done[name] = await exercises[name](client);
console.log(JSON.stringify(done));
