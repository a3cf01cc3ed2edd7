// node clip.mjs key|project|developer BASE_URL FILE: one clip, made with Google's own SDK, written to FILE.
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { GoogleGenAI } from "@google/genai";
import { OAuth2Client } from "google-auth-library";

const [how, baseUrl, file] = process.argv.slice(2);

function client() {
  if (how === "key") return new GoogleGenAI({ vertexai: true, apiKey: "anything", httpOptions: { baseUrl } });
  if (how === "developer") return new GoogleGenAI({ apiKey: "anything", httpOptions: { baseUrl, apiVersion: "v1beta" } });
  const authClient = new OAuth2Client(); // a token of our own: nobody at Google is asked for one
  authClient.setCredentials({ access_token: "anything" });
  return new GoogleGenAI({
    vertexai: true, project: "demo", location: "us-central1", googleAuthOptions: { authClient }, httpOptions: { baseUrl },
  });
}

const ai = client();
try {
  let operation = await ai.models.generateVideos({
    model: how === "developer" ? "veo-3.1-generate-preview" : "veo-3.1-generate-001",
    source: { prompt: `a paper boat, ${how}` },
    config: { durationSeconds: 4, aspectRatio: "9:16" },
  });
  const name = operation.name;
  let polls = 0;
  while (!operation.done) {
    await sleep(10);
    operation = await ai.operations.getVideosOperation({ operation });
    polls += 1;
  }
  const video = operation.response.generatedVideos[0].video;
  if (video.videoBytes) await writeFile(file, Buffer.from(video.videoBytes, "base64"));
  else await ai.files.download({ file: video, downloadPath: file });
  console.log(JSON.stringify({ name, polls }));
} catch (error) {
  console.log(JSON.stringify({ error: error.name, status: error.status, message: error.message }));
}
