/** The page: connects the feed, the model and the view. */

import { Inbox } from "./feed/inbox.js";
import { Feed } from "./feed/feed.js";
import { storedToken } from "./feed/token.js";
import { Arrangement, isTree } from "./model/arrange.js";
import { parseFilter, rowTest } from "./model/filter.js";
import { RegexMatcher } from "./model/regex_matcher.js";
import { heldOrder } from "./model/sort.js";
import { dayAndClock, moment } from "./model/time_text.js";
import { fromFragment, toFragment } from "./model/url_state.js";
import { Moments } from "./moments.js";
import { Ranges } from "./ranges.js";
import { Threads } from "./threads.js";
import { Address } from "./view/address.js";
import { columnOf } from "./view/columns.js";
import { Controls } from "./view/controls.js";
import { Keys } from "./view/keys.js";
import { Overview } from "./view/overview.js";
import { Panels } from "./view/panels.js";
import { PastChart } from "./view/past_chart.js";
import { PastInput } from "./view/past_input.js";
import { showStatus } from "./view/status_line.js";
import { showSum } from "./view/sum_line.js";
import { TableView } from "./view/table_view.js";
import { askToken } from "./view/token_dialog.js";

const GROUPINGS = ["", "name", "user", "unit"];
const STATUS_INTERVAL_MS = 500;
const ORDER = ["sort", "descending", "view", "filter"];

class App {
  constructor() {
    this.state = stateOfAddress();
    /** Where the past is: "memory", "recording", or "playback" for a recording without a present. */
    this.past = document.documentElement.dataset.past;
    const hasRecording = this.past !== "memory";
    if (!hasRecording) this.state.range = null;
    this.address = new Address();
    this.closed = new Set();
    this.arrangement = new Arrangement();
    this.order = [];
    this.link = { state: "connecting" };
    this.arrived = -Infinity;
    this.matcher = null;
    this.painting = 0;
    this.overview = new Overview();
    this.tableView = new TableView({
      sort: (key) => this.sortBy(key),
      open: (row) => this.openRow(row),
      branch: (row, isOpen) => this.setBranch(row, isOpen),
      release: () => this.paintSoon(),
    });
    this.threads = new Threads(this);
    this.panels = new Panels(this.threads, { open: (id) => this.change({ open: id }), list: (filter) => this.list(filter), close: () => this.closeDetail() });
    this.keys = new Keys(this.actions());
    this.controls = new Controls(this.controlHandlers(), { areKeysOn: this.keys.on });
    this.moments = new Moments(this, hasRecording);
    this.ranges = new Ranges(this);
    this.pastChart = new PastChart(() => this.paintSoon());
    this.pastInput = new PastInput(this.moments, this.pastHandlers(), { canSelect: hasRecording });
    this.inbox = new Inbox(this.feedHandlers());
    this.feed = new Feed((message) => this.inbox.receive(message));
    addEventListener("hashchange", () => {
      this.address.follow();
      this.follow(stateOfAddress());
    });
    this.setFilter(this.state.filter);
    for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
    if (this.past === "playback") document.getElementById("live").textContent = "Go to newest";
    if (!hasRecording) for (const part of document.querySelectorAll(".recorded-only")) part.remove();
    this.feed.listen(storedToken());
    setInterval(() => this.showStatus(), STATUS_INTERVAL_MS);
    this.showStatus();
  }

  get live() {
    return this.inbox.live;
  }

  get frozen() {
    return this.moments.frozen;
  }

  get table() {
    return this.frozen ?? this.live;
  }

  get chartWidth() {
    return Math.max(100, Math.round(this.pastChart.width));
  }

  get pausedAt() {
    return this.frozen ? Date.parse(this.table.head.time) : null;
  }

  feedHandlers() {
    return {
      state: (link) => {
        const isNew = link.state === "live" && this.link.state !== "live";
        this.link = link;
        if (link.state === "refused") askToken((token) => this.feed.listen(token));
        if (isNew) this.start();
        this.showStatus();
      },
      tick: () => {
        this.arrived = performance.now();
        this.paintSoon();
      },
      // Sorting each chunk as it arrives spreads the work over several tasks.
      chunk: (table) => {
        if (table === this.table) this.arrange();
      },
      moment: (table, path) => this.moments.arrive(table, path),
      momentPast: (message) => this.moments.arrivePast(message),
      timeline: (timeline, path) => this.moments.arriveTimeline(timeline, path),
      summary: (summary, path) => this.ranges.arrive(summary, path),
      threads: (threads, path) => this.threads.arrive(threads, path),
      failed: (kind, path, why) => {
        if (kind === "moment") this.moments.fail(path);
        if (kind === "summary") this.ranges.fail(path, why);
        if (kind === "threads") this.threads.fail(path, why);
      },
      pastComplete: () => {
        if (this.state.at && !this.frozen && this.past === "memory") this.moments.find(this.state.at);
        this.paintSoon();
      },
    };
  }

  pastHandlers() {
    return {
      goTo: (milliseconds) => this.moments.goTo(milliseconds),
      step: (ticks) => this.moments.step(ticks),
      zoomTo: (window) => this.moments.zoomTo(window),
      zoom: (direction) => this.moments.zoom(direction),
      brush: (range) => this.ranges.brush(range),
      select: (range) => this.ranges.select(range),
    };
  }

  actions() {
    return {
      "/": () => this.controls.focusFilter(),
      " ": () => this.togglePause(),
      "[": () => this.moments.step(-1),
      "]": () => this.moments.step(1),
      "+": () => this.moments.zoom(1),
      "-": () => this.moments.zoom(-1),
      o: () => this.sortBy("total_percent"),
      c: () => this.sortBy("cpu_percent"),
      p: () => this.sortBy("pid"),
      n: () => this.sortBy("name"),
      u: () => this.sortBy("user"),
      t: () => this.change({ view: this.state.view === "tree" ? "" : "tree" }),
      g: () => this.change({ view: GROUPINGS[(GROUPINGS.indexOf(this.state.view) + 1) % GROUPINGS.length] }),
      1: () => this.overview.toggleCpus(),
      "?": () => this.controls.openHelp(),
      Escape: () => this.escape(),
    };
  }

  controlHandlers() {
    return {
      filter: (text) => this.setFilter(text),
      view: (view) => this.change({ view }),
      scale: (scale) => this.change({ scale }),
      sort: (sort, descending) => this.change({ sort, descending }),
      turn: () => this.sortBy(this.state.sort),
      pause: () => this.togglePause(),
      live: () => this.goLive(),
      keys: (isOn) => this.keys.switchTo(isOn),
    };
  }

  /** The address changed: the user edited it or went back. */
  follow(state) {
    this.state = state;
    this.setFilter(state.filter);
    this.moments.follow(state);
    if (this.past !== "memory") this.ranges.follow(state);
    this.order = [];
    this.paintSoon();
  }

  /** The page is connected, for the first time or again. */
  start() {
    this.moments.start();
    if (this.past !== "memory") this.ranges.follow(this.state);
  }

  note(text) {
    this.controls.note(text);
  }

  /** `isPlace`: the user can come back from here with the browser's back button. */
  change(part, isPlace = this.state.at === null && typeof part.at === "string") {
    if (ORDER.some((name) => name in part && part[name] !== this.state[name])) this.order = [];
    this.state = { ...this.state, ...part };
    this.address.write(toFragment(this.state), isPlace);
    this.paintSoon();
  }

  sortBy(key) {
    const same = this.state.sort === key;
    this.change({ sort: key, descending: same ? !this.state.descending : columnOf(key).descends });
  }

  setFilter(text) {
    this.matcher?.stop();
    this.matcher = null;
    const filter = parseFilter(text);
    this.controls.note(filter.kind === "invalid" ? `Invalid regular expression: ${filter.why}` : "");
    if (filter.kind === "regex") {
      const matcher = new RegexMatcher(filter.source, () => this.testBy(matcher), () => this.controls.note("This regular expression takes too long."));
      this.matcher = matcher;
      this.testBy(matcher);
    } else {
      this.test = rowTest(filter);
    }
    this.change({ filter: text });
  }

  /** A new function after each result of the matcher, so that rows which failed the old one are tested again. */
  testBy(matcher) {
    this.test = (row) => matcher.test(row);
    this.paintSoon();
  }

  openRow(row) {
    if (row.kind === "group" && this.state.view !== "unit") {
      this.list(`${this.state.view}=${row[this.state.view] ?? ""}`);
    } else if (row.kind === "exited") {
      const parent = this.table.byPid.get(row.ppid);
      if (parent) this.change({ open: parent.id });
    } else {
      this.change({ open: row.id });
    }
  }

  /** Lists the processes that match a filter. */
  list(filter) {
    this.change({ view: "", open: null });
    this.setFilter(filter);
  }

  closeDetail() {
    this.change({ open: null });
    this.tableView.focusCurrent(true);
  }

  setBranch(row, isOpen) {
    if (isOpen) this.closed.delete(row.id);
    else this.closed.add(row.id);
    this.order = [];
    this.paintSoon();
  }

  escape() {
    if (this.state.open) this.closeDetail();
    else if (this.state.range) this.ranges.close();
    else if (this.state.filter) this.setFilter("");
    else if (this.frozen) this.goLive();
    else document.activeElement?.blur?.();
  }

  togglePause() {
    if (this.frozen) this.goLive();
    else if (this.live.head) {
      this.moments.pause();
      this.change({ at: this.live.head.time });
    }
  }

  goLive() {
    this.moments.live();
    this.note("");
    this.change({ at: null });
  }

  paintSoon() {
    this.painting ||= requestAnimationFrame(() => {
      this.painting = 0;
      this.paint();
    });
  }

  arrange() {
    return this.arrangement.rows(this.table, this.state, this.test, this.closed);
  }

  paint() {
    const { table, state } = this;
    // Sums over an incomplete tick would be wrong; its other chunks are on their way.
    if (!table.head || table === this.inbox.filling) return;
    let rows = this.arrange();
    this.matcher?.submit();
    if (this.tableView.held && this.order.length > 0) rows = heldOrder(this.order, rows);
    this.order = rows.map((row) => row.id);
    const scale = state.scale === "machine" ? 1 / table.head.host.logical_cpus : 1;
    const oldest = this.frozen?.oldest ?? this.inbox.timeline.oldest?.sequence ?? table.sequence;
    this.tableView.show(rows, { ...state, isTree: isTree(state.view), scale, sequence: table.sequence, oldest });
    this.overview.show(table.head, table.rows.size);
    this.showPast();
    const isNow = this.frozen === null && this.past !== "playback";
    this.panels.show(state.open, table, { scale, oldest, isNow });
    showSum(rows, table.head, state);
    this.controls.show(state, { isHeld: this.tableView.held, isPaused: this.frozen !== null, moment: this.momentText() });
    this.showStatus();
  }

  showPast() {
    const { moments } = this;
    const { window, limits } = moments;
    if (window === null) return;
    moments.load();
    this.pastChart.show({
      window,
      points: moments.history.points(this.inbox.timeline),
      shown: moments.shown,
      missed: moments.missed,
      selected: this.ranges.selected,
      isZoomed: window.from > limits.from || window.to < limits.to,
    });
  }

  momentText() {
    if (this.frozen === null) return this.past === "playback" ? "Newest; drag to rewind" : "Live; drag to rewind";
    const missed = this.moments.missed;
    return missed === null ? `Shown: ${moment(this.pausedAt)}` : `Not recorded: ${dayAndClock(missed)}. Shown: ${dayAndClock(this.pausedAt)}`;
  }

  showStatus() {
    const ageSeconds = (performance.now() - this.arrived) / 1000;
    const playback = this.past === "playback" && this.live.head ? { host: this.live.head.host.name, ...this.moments.history.whole } : null;
    showStatus(this.link, this.live.head, ageSeconds, this.pausedAt, playback);
  }
}

function stateOfAddress() {
  return fromFragment(location.hash, (key) => columnOf(key) !== null);
}

new App();
