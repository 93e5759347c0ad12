/** The panel beside the table: of the process or of the unit that is open. */

import { Detail } from "./detail.js";
import { UnitDetail } from "./unit_detail.js";
import { unitWithId } from "../model/unit_tree.js";

export class Panels {
  /** `threads` belong to the panel of a process. `on`: open(id), list(filter) and close(). */
  constructor(threads, on) {
    this.detail = new Detail(threads, on.open, on.close);
    this.unitDetail = new UnitDetail(on);
    this.last = null;
  }

  /** Shows what has the id `open`. A process that was open stays in its panel after it exited. */
  show(open, table, { scale, oldest, isNow }) {
    const row = open && (table.rows.get(open) ?? table.exited.get(open) ?? (this.last?.id === open ? this.last : null));
    if (row) {
      this.last = row;
      this.detail.show(row, table, { scale, oldest, isNow });
    } else this.detail.hide();
    const unit = unitWithId(table, open);
    if (unit) this.unitDetail.show(unit, table, scale, oldest);
    else this.unitDetail.hide();
  }
}
