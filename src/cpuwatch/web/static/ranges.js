/** The range of the past that is ranked. */

import { GROUPS } from "./model/ranking.js";
import { RankingView } from "./view/ranking_view.js";

const ROWS = 30;

export class Ranges {
  /** `page` has the state of the address, `change(part)` and the feed. */
  constructor(page) {
    this.page = page;
    /** The range while it is drawn, otherwise null. */
    this.drawn = null;
    this.path = "";
    this.view = new RankingView({ by: (by) => this.select(page.state.range, by), close: () => this.close() });
  }

  get selected() {
    return this.drawn ?? this.page.state.range;
  }

  brush(range) {
    this.drawn = range;
    this.page.paintSoon();
  }

  select(range, by = this.page.state.by) {
    this.drawn = null;
    this.page.change({ range: { from: Math.round(range.from), to: Math.round(range.to) }, by }, true);
    this.follow(this.page.state);
  }

  close() {
    this.page.change({ range: null });
    this.follow(this.page.state);
  }

  /** Shows the range in the address, if it is not there already. */
  follow({ range, by }) {
    if (range === null) {
      this.path = "";
      this.view.hide();
      return;
    }
    const group = GROUPS[by];
    const path = `cpu_usage/summary?from=${new Date(range.from).toISOString()}&to=${new Date(range.to).toISOString()}&top=${ROWS}`
      + (group === null ? "" : `&group_by=${group}`);
    if (path === this.path) return;
    this.path = path;
    this.view.open(range, by);
    this.view.show(null);
    this.page.feed.request("summary", path);
  }

  arrive(summary, path) {
    if (path === this.path) this.view.show(summary);
  }

  fail(path, why) {
    if (path === this.path) this.view.show(null, `No figures: ${why}`);
  }
}
