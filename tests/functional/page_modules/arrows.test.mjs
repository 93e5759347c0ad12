// Which folder may import which: model imports only model, feed also model, view both. Run by test_page_modules.py.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import test from "node:test";

const ROOT = process.env.PAGE_MODULES;
const ALLOWED = { model: ["model"], feed: ["feed", "model"], view: ["view", "feed", "model"], ".": [".", "view", "feed", "model"] };
const REFERENCE = /(?:\bfrom\s*|\bimport\s*\(?\s*|new URL\(\s*)["'](\.[^"']*\.js)["']/g;
const DOCUMENT = /\b(?:document|window|navigator|location|history|localStorage|sessionStorage|requestAnimationFrame)\b[.([]/;

const modules = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith(".js"));
const folderOf = (name) => dirname(name).split("/")[0];
const source = (name) => readFileSync(join(ROOT, name), "utf8");
const code = (name) => source(name).replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");

function importsOf(name) {
  return Array.from(source(name).matchAll(REFERENCE), ([, path]) => relative(ROOT, join(ROOT, dirname(name), path)));
}

test("every module is in a known folder", () => {
  assert.ok(modules.length > 30);
  for (const name of modules) assert.ok(folderOf(name) in ALLOWED, name);
});

test("imports point at modules that exist, in folders that may be imported", () => {
  for (const name of modules) {
    for (const imported of importsOf(name)) {
      assert.ok(modules.includes(imported), `${name} imports ${imported}, which does not exist`);
      assert.ok(ALLOWED[folderOf(name)].includes(folderOf(imported)), `${name} must not import ${imported}`);
    }
  }
});

test("no module imports itself through others", () => {
  const done = new Set();
  const visit = (name, path) => {
    assert.ok(!path.includes(name), [...path, name].join(" → "));
    if (done.has(name)) return;
    for (const imported of importsOf(name)) visit(imported, [...path, name]);
    done.add(name);
  };
  for (const name of modules) visit(name, []);
});

test("the model does not use the document", () => {
  for (const name of modules) if (folderOf(name) === "model") assert.doesNotMatch(code(name), DOCUMENT, name);
});

test("no module is longer than 350 lines", () => {
  for (const name of modules) assert.ok(source(name).split("\n").length <= 351, name);
});
