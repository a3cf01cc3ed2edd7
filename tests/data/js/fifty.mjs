// node fifty.mjs RECIPE BASE_URL FILMS DIRECTORY: as many films at once, by the `film` of a recipe of the guide.
import { writeFile } from "node:fs/promises";

const [recipe, baseUrl, films, directory] = process.argv.slice(2);
const { connect, film } = await import(recipe);
const ai = connect(baseUrl, "anything");
await Promise.all(
  Array.from({ length: Number(films) }, async (_, n) =>
    writeFile(`${directory}/${n}.mp4`, await film(ai, `order-${n}`, `boat ${n}`))),
);
