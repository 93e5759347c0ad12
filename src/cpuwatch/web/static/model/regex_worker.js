/** Runs a regular expression over texts, apart from the page, which ends this worker if it takes too long. */

const LONGEST_TEXT = 256;

onmessage = ({ data: { source, texts } }) => {
  const expression = new RegExp(source, "iu");
  postMessage(texts.map((text) => expression.test(text.slice(0, LONGEST_TEXT))));
};
