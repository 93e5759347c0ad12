/** Order, filter and texts of the page of machines. Pure. */

import { clock, percent, shownName, UNKNOWN, visible } from "./text.js";

const BUSY_PERCENT = 90;

const busy = (machine) => (isKnown(machine) ? machine.cpu_percent ?? -1 : -1);
const worst = (machine) => (isKnown(machine) ? machine.processes[0]?.total_percent ?? -1 : -1);
// What needs attention comes first.
const STATES = ["failed", "stale", "slow", "asking", "live"];

/** How to sort: the highest value first, or the lowest; ties by name. */
export const ORDERS = {
  busy: { title: "Busiest machine", key: (machine) => -busy(machine) },
  worst: { title: "Busiest process", key: (machine) => -worst(machine) },
  state: { title: "State", key: (machine) => STATES.indexOf(machine.state) },
  name: { title: "Name", key: () => 0 },
};

/** What a failed machine answered before is of the past. */
const isKnown = ({ state, cpu_percent: cpu }) => state !== "failed" && cpu !== null;

export function machineName({ name, host, url }) {
  return visible(name ?? host ?? url.replace(/^https?:\/\//, ""));
}

/** The machines whose texts contain all words of the filter, in order. */
export function arrangedMachines(machines, filter, order) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const { key } = ORDERS[order] ?? ORDERS.busy;
  return machines
    .map((machine) => ({ machine, name: machineName(machine), key: key(machine) }))
    .filter(({ machine, name }) => {
      const text = [name, machine.url, machine.state, ...machine.processes.map(shownName)].join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => a.key - b.key || a.name.localeCompare(b.name, "en", { numeric: true }))
    .map(({ machine }) => machine);
}

/** The texts of a machine. */
export function machineTexts(machine) {
  const known = isKnown(machine);
  const first = known ? machine.processes[0] : undefined;
  return {
    name: machineName(machine),
    busy: known ? `${percent(machine.cpu_percent)} %` : UNKNOWN,
    worst: first ? shownName(first) : UNKNOWN,
    worstFigure: first ? `${percent(first.total_percent)} %` : "",
    fact: fact(machine),
    isHot: known && machine.cpu_percent >= BUSY_PERCENT,
  };
}

function fact(machine) {
  const { state, error, logical_cpus: cpus, answered, answer_seconds: seconds } = machine;
  if (state === "failed") {
    return `${answered === null ? "No answer" : `No answer since ${clock(Date.parse(answered))}`}: ${visible(error)}`;
  }
  if (state === "asking") return "Asking";
  if (state === "slow") return seconds === null ? "Slow: no answer yet" : `Slow: last answer took ${seconds.toFixed(1)} s`;
  if (state === "stale") return "Stale: its snapshot does not change";
  return `${cpus} ${cpus === 1 ? "CPU" : "CPUs"}${others(machine)}`;
}

function others({ processes }) {
  const names = processes.slice(1).filter(({ total_percent: total }) => total >= 0.05).map(shownName);
  return names.length > 0 ? ` · ${names.join(", ")}` : "";
}

/** The status of all machines. */
export function summaryOf(machines) {
  const failed = machines.filter(({ state }) => state === "failed").length;
  const asking = machines.filter(({ state }) => state === "asking").length;
  const cpus = machines.reduce((sum, machine) => sum + (isKnown(machine) ? machine.logical_cpus : 0), 0);
  const used = machines.reduce((sum, machine) => sum + (isKnown(machine) ? (machine.cpu_percent * machine.logical_cpus) / 100 : 0), 0);
  const counted = `${machines.length} ${machines.length === 1 ? "machine" : "machines"}`;
  const text = failed > 0 ? `${failed} of ${counted} without an answer` : asking > 0 ? `Asking ${asking} of ${counted}` : `Live: ${counted}`;
  return { kind: failed > 0 ? "stale" : "live", text, footer: `${used.toFixed(1)} of ${cpus} CPUs busy` };
}
