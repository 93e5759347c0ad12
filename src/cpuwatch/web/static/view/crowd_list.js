/**
 * The list of those who run while a process or a unit is crowded. It comes and goes, so it belongs at the end of a panel
 * and keeps its height: otherwise it would move what the user may be about to click, also by scrolling.
 */

import { element } from "./dom.js";
import { Relatives } from "./relatives.js";
import { crowdOf } from "../model/crowd.js";

export class CrowdList {
  /** `onOpen(id)` opens a process. */
  constructor(onOpen) {
    this.list = new Relatives(() => "Crowded by", "no busy process", onOpen);
    this.element = element("div", { class: "crowding" }, ...this.list.nodes);
  }

  /** `use(row)` is the text after each name. It is hidden unless `row` is crowded. */
  show(row, { head, byPid }, use) {
    this.element.style.visibility = row.verdict === "crowded" ? "visible" : "hidden";
    const crowd = crowdOf(row, head.machine.busiest).map(({ pid }) => byPid.get(pid)).filter((other) => other !== undefined);
    this.list.show(crowd, crowd.length, use);
  }
}
