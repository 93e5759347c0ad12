/** Windows of time, `{from, to}` in milliseconds, within limits. Pure. */

/** A second is a few pixels wide then. */
export const MIN_SPAN = 30_000;

export const spanOf = ({ from, to }) => to - from;

/** The window with the nearest span that the limits allow, moved into them. */
export function within({ from, to }, limits) {
  const whole = spanOf(limits);
  const span = Math.min(Math.max(to - from, Math.min(MIN_SPAN, whole)), whole);
  const start = Math.max(limits.from, Math.min(from, limits.to - span));
  return { from: start, to: start + span };
}

/** The window with `factor` times its span, in which `fixed` keeps its place. */
export function zoomed({ from, to }, factor, fixed, limits) {
  const whole = spanOf(limits);
  const span = Math.min(Math.max((to - from) * factor, Math.min(MIN_SPAN, whole)), whole);
  const share = to > from ? (fixed - from) / (to - from) : 0.5;
  return within({ from: fixed - share * span, to: fixed + (1 - share) * span }, limits);
}

export function panned({ from, to }, milliseconds, limits) {
  return within({ from: from + milliseconds, to: to + milliseconds }, limits);
}

/** The window, moved so that it contains `time`. */
export function around(view, time, limits) {
  if (time >= view.from && time <= view.to) return view;
  return panned(view, time < view.from ? time - view.from : time - view.to, limits);
}

/** A range between two times, in either order. */
export const between = (one, other) => ({ from: Math.min(one, other), to: Math.max(one, other) });
