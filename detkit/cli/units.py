"""``detkit units``: the regions that excite single units of the network most."""

from __future__ import annotations

import argparse
from pathlib import Path

from detkit.cli.options import add_config, read_config, read_run
from detkit.errors import ConfigError

FEWEST, MOST = 16, 96
"""Regions of a unit that a sheet can show."""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "units",
        help="show what single units of the network respond to, and how much of a crop they see",
        description="Computes the units on all test regions of a finished run. Writes units.png, the strongest regions "
        "of each unit with its receptive field, and units.json with up to 1,000 regions a unit. --fields prints the "
        "receptive field of every layer instead; it needs no data and no run.",
    )
    add_config(parser)
    parser.add_argument("--layer", default="", metavar="NAME", help="default: the pooled layer")
    parser.add_argument(
        "--unit", type=int, action="append", default=[], metavar="N", help="unit of the layer; may be repeated"
    )
    parser.add_argument(
        "--role", default="TEST", metavar="ROLE", help="role of the regions: TEST (default), TRAIN, ..."
    )
    parser.add_argument("--images", type=int, default=0, metavar="N", help="use the first N images only; default: all")
    parser.add_argument(
        "--sheet", type=int, default=FEWEST, metavar="N", help="number of regions of a unit on the sheet, 16 to 96"
    )
    parser.add_argument("--fields", action="store_true", help="print the receptive field of every layer")
    parser.set_defaults(places="--out")
    parser.add_argument("--out", default="units", metavar="FOLDER", help="default: units/")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the cost, computes the units on the regions, prints a line a unit and writes the files.

    Raises:
        ConfigError: if an option's value cannot be used, or the run has not finished the stages that are needed.
    """
    from detkit.report.unit_source import UnitSource
    from detkit.report.units import RULE, chosen_units, fields_table, top_regions
    from detkit.report.units_sheet import units_sheet
    from detkit.system.files import write_json

    if args.fields:
        print("\n".join(fields_table(read_config(args))))
        return 0
    if args.images < 0:
        raise ConfigError(f"--images {args.images}: expected 1 or more, or 0 for all")
    if not FEWEST <= args.sheet <= MOST:
        raise ConfigError(f"--sheet {args.sheet}: expected {FEWEST} to {MOST} regions")
    source = UnitSource.of(read_run(args), args.role, args.layer, args.images)
    given = chosen_units(source, args.unit) if args.unit else []
    print(source.cost(sampled=not given), flush=True)
    if not given:
        print(f"units: {RULE}", flush=True)
    tops = top_regions(source, given or chosen_units(source))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    found = {"layer": source.layer, "role": args.role, "units": [top.plain(source) for top in tops]}
    write_json(out / "units.json", found)
    units_sheet(out / "units.png", source, tops, args.sheet)
    for top in tops:
        print(f"{top.unit}: {len(top.rows):,} regions, the channel's largest activation is {top.peak:.3g}")
    print(f"picture and regions: {out / 'units.png'}, {out / 'units.json'}")
    return 0
