from detkit.evaluation.table import ap_table, metrics_table

BEFORE = {"mAP": 0.5, "AP": {"cat": 0.25, "aeroplane": 0.75, "cow": None}}
AFTER = {"mAP": 1.0, "AP": {"cat": 1.0, "aeroplane": 1.0, "cow": None}}


def test_columns_stand_side_by_side_in_percent():
    assert ap_table({"before": BEFORE, "with box head": AFTER}).splitlines() == [
        "class      before  with box head",
        "cat          25.0          100.0",
        "aeroplane    75.0          100.0",
        "cow             -              -",
        "mAP          50.0          100.0",
    ]


def test_a_class_that_one_column_lacks_shows_a_dash():
    table = ap_table({"a": {"mAP": 0.5, "AP": {"cat": 0.5}}, "b": {"mAP": 1.0, "AP": {"dog": 1.0}}})
    assert [line.split() for line in table.splitlines()[1:3]] == [["cat", "50.0", "-"], ["dog", "-", "100.0"]]


def test_the_mean_of_a_column_that_gives_none_is_that_of_its_classes():
    # (25 + 75) / 2; a column that gives its own keeps it, also None.
    columns = {
        "own": {"AP": BEFORE["AP"]},
        "given": AFTER,
        "none": {"AP": {"cow": None}},
        "null": AFTER | {"mAP": None},
    }
    assert ap_table(columns).splitlines()[-1].split() == ["mAP", "50.0", "100.0", "-", "-"]


def test_texts_are_shown_and_lists_stay_in_the_results():
    metrics = {"Own": {"rule": "strict", "curve": [0.1, 0.2], "by": {"curves": [[0.1]]}, "boxes": 3, "AR": 0.5}}
    assert metrics_table(metrics).splitlines() == ["Own", "  rule   strict", "  boxes       3", "  AR       50.0"]


def test_no_columns_give_no_text():
    assert ap_table({}) == metrics_table({}) == ""


def test_wide_characters_take_two_columns():
    # 猫 takes two columns like "ox"; the numbers stay in line.
    first, second = ap_table({"x": {"mAP": 1.0, "AP": {"ox": 1.0, "猫": 1.0}}}).splitlines()[1:3]
    assert (first, second) == ("ox     100.0", "猫     100.0")


def test_all_metrics_stand_below_one_another():
    metrics = {"VOC07": BEFORE, "COCO": {"AP": 0.504, "APsmall": None}, "ProposalRecall": {"recall": {"0.5": 0.948}}}
    metrics["ProposalRecall"]["boxes"] = 950.0
    assert metrics_table(metrics).split("\n\n")[1:] == [
        "COCO\n  AP       50.4\n  APsmall     -",
        "ProposalRecall\n  recall 0.5    94.8\n  boxes          950",
    ]


def test_an_interval_stands_below_the_mean():
    lines = ap_table({"a": {**BEFORE, "interval": [0.4321, 0.561]}, "b": AFTER}).splitlines()
    assert [line.split() for line in lines[-2:]] == [["mAP", "50.0", "100.0"], ["95", "%", "43.2-56.1", "-"]]
