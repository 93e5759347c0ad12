/** Runs a regular expression over texts. The page stops this worker if it takes too long. */

const MAX_TEXT_LENGTH = 256;

onmessage = ({ data: { source, texts } }) => {
  const expression = new RegExp(source, "iu");
  postMessage(texts.map((text) => expression.test(text.slice(0, MAX_TEXT_LENGTH))));
};
