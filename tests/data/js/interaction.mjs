// node interaction.mjs BASE_URL FILE: one clip of Omni's, made with Google's own SDK, written to FILE.
import { setTimeout as sleep } from "node:timers/promises";
import { GoogleGenAI } from "@google/genai";

const [baseUrl, file] = process.argv.slice(2);

const ai = new GoogleGenAI({ apiKey: "anything", httpOptions: { baseUrl } });
// Left to itself it sends a create whose answer was lost four times more, and each is paid for.
const once = { retries: { strategy: "none" } };
try {
  let interaction = await ai.interactions.create({
    model: "gemini-omni-1.2-flash",
    input: [{ type: "text", text: "a paper boat" }],
    background: true,
    response_format: { type: "video", delivery: "uri", duration: "4s", aspect_ratio: "9:16" },
  }, once);
  const { id } = interaction;
  let polls = 0;
  while (interaction.status === "in_progress") {
    await sleep(10);
    interaction = await ai.interactions.get(id);
    polls += 1;
  }
  const video = interaction.steps.flatMap((step) => step.content ?? []).find((block) => block.type === "video");
  await ai.files.download({ file: video.uri, downloadPath: file });
  console.log(JSON.stringify({ id, polls, status: interaction.status, tokens: interaction.usage.total_output_tokens }));
} catch (error) {
  console.log(JSON.stringify({ error: error.name, status: error.status, message: error.message }));
}
