// The loop of a driver in Node: orders from standard input, replies to standard output, one JSON object a line.
import { createInterface } from "node:readline";

export const settings = JSON.parse(process.argv[2]);

export async function serve(operations) {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let reply;
    try {
      reply = { result: (await operations[order.operation](order.arguments)) ?? null };
    } catch (error) {
      reply = { error: `${error.stack}\n${JSON.stringify(error)}` };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}
