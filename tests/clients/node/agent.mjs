// An agent on the Claude Agent SDK: agent.mjs CLAUDE-CODE PROMPT prints its result as JSON.
import { query } from '@anthropic-ai/claude-agent-sdk';

const [pathToClaudeCodeExecutable, prompt] = process.argv.slice(2);
const options = { pathToClaudeCodeExecutable, allowedTools: ['Bash'], settingSources: [], maxTurns: 5 };
const done = { calls: [] };
for await (const message of query({ prompt, options })) {
  if (message.type === 'assistant') {
    const used = message.message.content.filter((block) => block.type === 'tool_use');
    done.calls.push(...used.map(({ name, input }) => ({ name, input })));
  }
  if (message.type === 'result') {
    const { result, is_error, num_turns: turns, session_id } = message;
    Object.assign(done, { result, is_error, turns, session_id });
  }
}
console.log(JSON.stringify(done));
