from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import snapshots
from terminal_screens import NGINX, process, snapshot

from cpuwatch import Snapshot, ThreadsSnapshot, ThreadUsage, by_cgroup
from cpuwatch.encoding.columns import cell_width
from cpuwatch.terminal.model.arrange import arranged
from cpuwatch.terminal.model.columns import COLUMNS, shown_columns
from cpuwatch.terminal.model.frame import Frame, drawn
from cpuwatch.terminal.model.header import Link, Scene, header_lines
from cpuwatch.terminal.model.keys import BINDINGS
from cpuwatch.terminal.model.process_past import ProcessTick, exited_under
from cpuwatch.terminal.model.rows import Item, Moment, Row
from cpuwatch.terminal.model.state import ViewState
from cpuwatch.terminal.model.text import Line, Screen
from cpuwatch.terminal.model.unit_panel import unit_lines
from cpuwatch.terminal.model.update import Shown, clicked, kept_in_table, pressed
from cpuwatch.terminal.palette import THEMES

hostile = st.text(
    st.characters() | st.sampled_from("\x1b\x00\n\t\x9b\u202e\u200b\U0001f40e\u0301\ud800界"), max_size=20
)
screens = st.builds(
    Screen,
    columns=st.integers(1, 300),
    rows=st.integers(1, 80),
    encoding=st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
keys = st.lists(
    st.sampled_from([key for binding in BINDINGS for key in binding.keys] + list("abc=1/") + ["enter", "esc", "down"]),
    max_size=8,
)

amounts = st.floats(0, 1e12)
thread_snapshots = st.builds(
    ThreadsSnapshot,
    cpu_percent=amounts,
    ended_percent=st.none() | amounts,
    wait_percent=st.none() | amounts,
    threads=st.lists(
        st.builds(
            ThreadUsage, name=hostile, cpu_percent=amounts, wait_percent=st.none() | amounts, cpu_seconds=amounts
        ),
        max_size=9,
    ),
)


def plain(line: Line) -> str:
    return "".join(text for _, text in line)


def frame_after(
    taken: list[Snapshot], typed: list[str], screen: Screen, threads: ThreadsSnapshot | str | None = None
) -> Frame:
    state = ViewState()
    moment = None
    rows: list[Item] = []
    for each in taken:
        moment = Moment.of(each, moment)
    assert moment is not None
    for key in ["", *typed]:
        rows = arranged(moment, state, [row.key for row in rows])
        state, _ = pressed(state, key, Shown(rows, screen.rows, screen.columns))
    try:
        rows = arranged(moment, state)
    except ValueError:
        rows = []
    scene = Scene(
        Link("\x1b[31m", "stale", "stale since \x07"), [None, 0.0, 50.0, 1e9], 2, is_frozen=True, threads=threads
    )
    opened = next((row for row in [*moment.processes, *moment.fading.values(), *rows] if row.key == state.opened), None)
    past = [] if opened is None else [ProcessTick.of(each, opened.key) for each in taken]
    return drawn(moment, rows, state, scene, screen, opened, past)


@given(
    st.lists(snapshots(hostile), min_size=1, max_size=3),
    keys | st.just(["down", "H"]),
    screens,
    st.none() | hostile | thread_snapshots,
)
def test_a_frame_is_exactly_as_large_as_the_screen(
    taken: list[Snapshot], typed: list[str], screen: Screen, threads: ThreadsSnapshot | str | None
) -> None:
    frame = frame_after(taken, typed, screen, threads)
    assert len(frame.lines) == screen.rows
    for line in frame.lines:
        text = "".join(text for _, text in line)
        assert sum(cell_width(text) for _, text in line) == screen.columns
        assert text.isprintable()
        text.encode(screen.encoding)


@given(st.lists(snapshots(hostile), min_size=2, max_size=4), screens, st.booleans())
def test_a_frame_does_not_depend_on_the_frame_before(taken: list[Snapshot], screen: Screen, has_cursor: bool) -> None:
    moment = before = None
    for each in taken:
        moment = Moment.of(each, moment)
        rows = arranged(moment, ViewState())
        state = ViewState(cursor=rows[0].key if has_cursor and rows and before is not None else None)
        scene = Scene(Link(""), [], 0)
        before = drawn(moment, rows, state, scene, screen, before=before)
        assert before.lines == drawn(moment, rows, state, scene, screen).lines


def test_the_line_of_a_row_that_did_not_change_is_used_again() -> None:
    screen = Screen(100, 60)
    frames: list[Frame] = []
    for sequence, share in ((1, 20.0), (2, 30.0)):
        moment = Moment.of(snapshot(sequence, process(90, 11, "ld", share)))
        rows = arranged(moment, ViewState(sort="pid", descending=False))
        scene = Scene(Link(""), [], 0)
        frames.append(drawn(moment, rows, ViewState(), scene, screen, before=frames[-1] if frames else None))
    places = [index for index, row in enumerate(rows) if row.name != "ld"]
    tables = [frame.lines[frame.first_row :] for frame in frames]
    assert all(tables[0][place] is tables[1][place] for place in places)
    assert [tables[0][place] == tables[1][place] for place in range(len(rows)) if place not in places] == [False]


@given(st.lists(snapshots(hostile), min_size=1, max_size=3), keys, screens)
def test_every_style_has_a_colour_in_every_theme(taken: list[Snapshot], typed: list[str], screen: Screen) -> None:
    used = {style for line in frame_after(taken, typed, screen).lines for style, _ in line}
    for theme in THEMES.values():
        assert used <= {"", *theme}


def test_the_graph_of_a_process_has_its_total_in_each_of_the_last_ticks() -> None:
    moment = Moment.of(snapshot(1))
    state = ViewState(columns=("pid", "graph", "name"))
    totals = [{"12-1": 50.0, "11-1": 2.0}, {}, {"12-1": 100.0, "11-1": 10.0}]
    scene = Scene(Link(""), [], 0, totals=totals)
    frame = drawn(moment, arranged(moment, state), state, scene, Screen(80, 60))
    shown = ["".join(text for _, text in line).rstrip() for line in frame.lines]
    assert f"     12 {' ' * 13}▄ █ cc1" in shown
    assert f"     11 {' ' * 13}▁ ▄ make" in shown
    assert f"     10 {' ' * 16} bash" in shown


def test_a_chosen_column_is_shown_although_the_screen_is_narrow_and_others_make_room() -> None:
    state, narrow = ViewState(), Shown([], 10, 80)
    place = list(COLUMNS).index("threads")
    for key in ["C", *["down"] * place, " "]:
        state, _ = pressed(state, key, narrow)
    fields = [column.field for column in shown_columns(state, 80)]
    assert "threads" in fields
    assert fields[-1] == "name"
    assert "state" not in fields
    state, _ = pressed(state, " ", narrow)
    assert "threads" not in [column.field for column in shown_columns(state, 80)]


def test_an_exited_process_fades_in_its_place_and_disappears() -> None:
    taken = [snapshot(sequence, *([process(90, 11, "ld", 50.0)] if sequence == 1 else [])) for sequence in range(1, 9)]
    moment = None
    places = []
    for each in taken:
        moment = Moment.of(each, moment)
        rows = arranged(moment, ViewState())
        places.append(next((index for index, row in enumerate(rows) if row.name == "ld"), None))
    assert places == [1, 1, 1, 1, 1, 1, None, None]


def test_rows_keep_their_order_while_the_cursor_is_in_the_table() -> None:
    before = Moment.of(snapshot(1, process(90, 11, "busy", 99.0)))
    after = Moment.of(snapshot(2, process(90, 11, "busy", 0.0), process(91, 11, "new", 100.0)), before)
    order = [row.key for row in arranged(before, ViewState())]
    held = [row.key for row in arranged(after, ViewState(cursor="90-1"), order)]
    assert [key for key in held if key in order] == order
    assert arranged(after, ViewState())[0].name == "new"


def test_siblings_of_the_tree_keep_their_order_while_the_cursor_is_in_the_table() -> None:
    before = Moment.of(snapshot(1, process(90, 13, "busy", 99.0), process(91, 13, "idle", 1.0)))
    after = Moment.of(
        snapshot(2, process(90, 13, "busy", 0.0), process(91, 13, "idle", 50.0), process(92, 13, "new", 100.0)), before
    )
    order = [row.key for row in arranged(before, ViewState(view="tree"))]
    held = [row.key for row in arranged(after, ViewState(view="tree", cursor="90-1"), order)]
    assert [key for key in held if key in order] == order
    assert held.index("92-1") > held.index("91-1")
    assert [row.name for row in arranged(after, ViewState(view="tree")) if row.pid in {90, 91, 92}] == [
        *("new", "idle", "busy"),
    ]


def test_a_branch_of_the_tree_contains_its_exited_processes() -> None:
    rows = {row.name: row for row in arranged(Moment.of(snapshot(1)), ViewState(view="tree"))}
    assert rows["make"].total_percent == pytest.approx(2.5 + 98.7 + 30.0)
    closed = arranged(Moment.of(snapshot(1)), ViewState(view="tree", closed=frozenset({"11-1"})))
    assert "cc1" not in {row.name for row in closed}


def test_what_exited_under_a_process_is_summed_over_the_ticks_in_which_it_lived() -> None:
    ticks = [ProcessTick.of(snapshot(sequence), "11-1") for sequence in range(1, 4)]
    (group,) = exited_under(ticks)
    assert (group.name, group.count) == ("as", 36)
    assert group.cpu_seconds == pytest.approx(0.9)
    assert [tick.total_percent for tick in ticks] == [32.5] * 3
    # The PID alone does not make it the same process.
    assert exited_under([ProcessTick.of(snapshot(1), "11-0")]) == []


def test_the_cursor_stays_at_its_place_when_its_row_is_gone() -> None:
    before = arranged(Moment.of(snapshot(1, process(90, 11, "gone", 50.0))), ViewState())
    rows = arranged(Moment.of(snapshot(2)), ViewState())
    index = [row.key for row in before].index("90-1")
    assert kept_in_table(ViewState(cursor="90-1"), before, rows).cursor == rows[index].key
    assert kept_in_table(ViewState(cursor="12-1"), before, rows).cursor == "12-1"
    assert kept_in_table(ViewState(cursor="12-1"), before, []).cursor is None


def test_search_goes_to_the_next_row_that_matches_and_starts_again_at_the_end() -> None:
    rows = arranged(Moment.of(snapshot(1)), ViewState())
    shown = Shown(rows, 10, 80)
    state = ViewState()
    for key in ["f", *"nginx", "enter"]:
        state, _ = pressed(state, key, shown)
    places = []
    for _ in range(3):
        places.append(state.cursor)
        state, _ = pressed(state, "F", shown)
    assert places == ["13-1", "14-1", "13-1"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("mary cc1", {"cc1"}),
        ("user=www-data", {"nginx", "nginx: žluť 界"}),
        ("unit=nginx.service", {"nginx", "nginx: žluť 界"}),
        ("pid=11", {"make"}),
        ("/^ma.e$/", {"make"}),
    ],
)
def test_a_filter_keeps_what_matches(text: str, names: set[str]) -> None:
    assert {row.name for row in arranged(Moment.of(snapshot(1)), ViewState(filter=text))} == names


# Units

NGINX_ROW = f"group unit {NGINX}"


def units(state: ViewState) -> list[tuple[int, str | None, int | None]]:
    rows = arranged(Moment.of(snapshot(1)), state)
    return [(row.depth, row.name, row.count) for row in rows if isinstance(row, Row)]


def test_units_are_a_tree_whose_branches_can_be_closed() -> None:
    state = ViewState(view="unit")
    assert units(state) == [
        (0, "/", 48),
        (1, "user.slice", 46),
        (1, "system.slice", 2),
        (2, "nginx.service", 2),
        (2, "cups.service", 0),
    ]
    shown = Shown(arranged(Moment.of(snapshot(1)), state), 20, 120)
    closed, _ = pressed(replace(state, cursor="group unit /system.slice"), "-", shown)
    assert [name for _, name, _ in units(closed)] == ["/", "user.slice", "system.slice"]


def test_a_filtered_tree_of_units_has_only_the_units_of_the_processes() -> None:
    assert units(ViewState(view="unit", filter="user=www-data")) == [
        (0, "/", 2),
        (1, "system.slice", 2),
        (2, "nginx.service", 2),
    ]


def test_enter_opens_the_details_of_a_unit_and_then_its_processes() -> None:
    state = ViewState(view="unit", cursor=NGINX_ROW)
    shown = Shown(arranged(Moment.of(snapshot(1)), state), 20, 120)
    details, _ = pressed(state, "enter", shown)
    assert (details.panel, details.opened, details.view) == ("detail", NGINX_ROW, "unit")
    processes, _ = pressed(details, "enter", shown)
    assert (processes.panel, processes.view, processes.filter) == ("", "", f"cgroup={NGINX}")
    assert {row.name for row in arranged(Moment.of(snapshot(1)), processes)} == {"nginx", "nginx: žluť 界"}


def test_the_processes_of_a_slice_are_those_of_all_units_below_it() -> None:
    rows = arranged(Moment.of(snapshot(1)), ViewState(filter="cgroup=/system.slice"))
    assert {row.name for row in rows} == {"nginx", "nginx: žluť 界"}


def test_the_details_of_a_unit_say_what_crowds_it() -> None:
    taken = snapshot(1)
    (nginx,) = (unit for unit in by_cgroup(taken) if unit.cgroup == NGINX)
    crowded = replace(nginx, verdict="crowded", quota_cpus=None, limited_by=None)
    text = "\n".join(map(plain, unit_lines(crowded, taken.machine, Screen(120, 9))))
    assert "verdict crowded" in text
    assert "by cc1 (12)" in text
    assert "quota none" in text


def test_a_click_on_the_heading_of_a_column_of_units_changes_nothing() -> None:
    state = ViewState(view="unit")
    shown = Shown(arranged(Moment.of(snapshot(1)), state), 20, 120)
    assert clicked(state, None, "quota_cpus", shown) == state
    assert clicked(state, None, "throttled_percent", shown).sort == "throttled_percent"


def test_the_verdict_and_the_throttling_are_columns_to_choose() -> None:
    fields = [column.field for column in shown_columns(ViewState(columns=("pid", "verdict", "name")), 80)]
    assert fields == ["pid", "verdict", "name"]
    default = [column.field for column in shown_columns(ViewState(), 300)]
    assert not {"verdict", "throttled_percent"} & set(default)


def test_the_header_has_the_pressure_and_the_verdict_if_they_are_known() -> None:
    scene = Scene(Link("", "live"), [], 0)
    taken = snapshot(1)
    text = [plain(line) for line in header_lines(taken, scene, Screen(80, 24), each_cpu=False)]
    assert text[1].endswith("  62.5%  pressure  38.5  crowded  ")
    unknown = replace(taken, machine=replace(taken.machine, pressure_percent=None, verdict=None))
    text = [plain(line) for line in header_lines(unknown, scene, Screen(80, 24), each_cpu=False)]
    assert text[1].endswith("62.5%")
