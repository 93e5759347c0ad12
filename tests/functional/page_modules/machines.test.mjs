// The model of the page of machines. Run by test_page_modules.py, which sets the environment.
import assert from "node:assert/strict";
import test from "node:test";
import { pathToFileURL } from "node:url";

const load = (name) => import(pathToFileURL(`${process.env.PAGE_MODULES}/${name}`));
const { arrangedMachines, machineTexts, ORDERS, summaryOf } = await load("model/machines.js");

function machine(name, cpu, changes = {}) {
  return {
    url: `http://${name}:8845`, name, host: `${name}.example`, state: "live", error: null, logical_cpus: 4, cpu_percent: cpu,
    answered: "2026-01-01T00:00:00Z", answer_seconds: 0.01, attribution: null,
    processes: [{ pid: 1, name: `work-${name}`, user: "root", total_percent: cpu / 2 }], ...changes,
  };
}
const FAILED = machine("dead", 99, { state: "failed", error: "Connection refused" });
const NEW = machine("new", null, { state: "asking", host: null, logical_cpus: null, answered: null, processes: [] });
const names = (machines) => machines.map(({ name }) => name);

test("the busiest machine comes first, and what is not known last", () => {
  const machines = [machine("b", 10), FAILED, machine("a", 10), NEW, machine("c", 0), machine("d", 80)];
  assert.deepEqual(names(arrangedMachines(machines, "", "busy")), ["d", "a", "b", "c", "dead", "new"]);
  assert.deepEqual(names(arrangedMachines(machines, "", "unknown order")), ["d", "a", "b", "c", "dead", "new"]);
});

test("other orders: by worst process, state and name with numbers", () => {
  const worst = machine("w", 5, { processes: [{ pid: 1, name: "x", user: null, total_percent: 400 }] });
  assert.deepEqual(names(arrangedMachines([machine("a", 90), worst], "", "worst")), ["w", "a"]);
  assert.deepEqual(names(arrangedMachines([machine("a", 90), FAILED], "", "state")), ["dead", "a"]);
  assert.deepEqual(names(arrangedMachines([machine("web-10", 1), machine("web-9", 1)], "", "name")), ["web-9", "web-10"]);
  assert.deepEqual(Object.keys(ORDERS), ["busy", "worst", "state", "name"]);
});

test("a filter has words of names, states and processes", () => {
  const machines = [machine("web", 1), machine("db", 2), FAILED];
  assert.deepEqual(names(arrangedMachines(machines, "WORK-web", "busy")), ["web"]);
  assert.deepEqual(names(arrangedMachines(machines, "failed", "busy")), ["dead"]);
  assert.deepEqual(names(arrangedMachines(machines, "db live", "busy")), ["db"]);
  assert.deepEqual(names(arrangedMachines(machines, "db web", "busy")), []);
});

test("texts: a failed machine shows no old figures, and hostile names are escaped", () => {
  const failed = machineTexts(FAILED);
  assert.equal(failed.busy, "–");
  assert.match(failed.fact, /^No answer since [0-9:]{8}: Connection refused$/);
  assert.match(machineTexts({ ...FAILED, answered: null }).fact, /^No answer: Connection refused$/);
  const hostile = machineTexts(machine("a", 95, { name: null, host: "\u202ehost\n", processes: [{ pid: 1, name: "\u001b[31m", user: null, total_percent: null }] }));
  assert.deepEqual([hostile.name, hostile.worst, hostile.worstFigure, hostile.isHot], ["\\u202ehost\\n", "\\x1b[31m", "– %", true]);
  assert.equal(machineTexts(NEW).fact, "Asking");
  assert.equal(machineTexts(machine("a", 1, { state: "slow", answer_seconds: null })).fact, "Slow: no answer yet");
});

test("the summary counts the machines that do not answer, and the CPUs of the others", () => {
  assert.deepEqual(summaryOf([machine("a", 50), FAILED]), {
    kind: "stale", text: "1 of 2 machines without an answer", footer: "2.0 of 4 CPUs busy",
  });
  assert.equal(summaryOf([machine("a", 50)]).text, "Live: 1 machine");
  assert.equal(summaryOf([NEW, machine("a", 50)]).text, "Asking 1 of 2 machines");
});
