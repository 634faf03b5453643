"""Which models differ in one tag alone is found from the tags, and nothing is claimed that the data do not say."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.pairs.intervals import difference
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.factor_tables import factor_rows, factor_tables, factors_of, factors_table
from evaljobs.report.tables.factors import MOST_LEVELS, Factors, find_factors
from evaljobs.report.tables.flags import MEANING
from evaljobs.report.tables.levels import level_text
from evaljobs.report.tables.quality import TprQuality
from tests.report.ablation import TARGET, entry, evaluation, found_in, published

Tags = dict[str, dict[str, str]]

# Every factor of the publication: the fixed tags that matter, and the TPR by level, the best first in its own row.
EXPECTED = {
    "backbone": {"efficientnet_b0": 0.682, "lcnet050": 0.784},
    "dim and res": {"128 / 96": 0.713, "256 / 128": 0.784},
    "norm": {"bn": 0.721, "ln": 0.784},
    "loss": {"arc": 0.754, "cos": 0.784, "softmax": 0.663},
    "classes": {"16256": 0.615, "130048": 0.666, "390144": 0.754},
    "recipe": {"ImageNet-1K": 0.813, "ImageNet-1K, CLIP": 0.859, "ImageNet-1K, CLIP, LN + BN": 0.912},
    "classes and recipe": {
        "390144 / Indoor": 0.772,
        "1281833 / ImageNet-1K": 0.813,
        "1281833 / ImageNet-1K, CLIP": 0.859,
        "1281833 / ImageNet-1K, CLIP, LN + BN": 0.912,
    },
    "variant": {"-": 0.784, "from-scratch": 0.141, "gap": 0.480, "squeeze": 0.772},
}


def texts(table: Table) -> list[dict[str, str]]:
    assert table.rows
    return [{column.name: column.text(row) for column in table.columns} for row in table.rows]


def values(table: Table) -> list[dict[str, Any]]:
    assert table.rows
    return [{column.name: column.value(row) for column in table.columns} for row in table.rows]


def named(tables: Sequence[Table], name: str) -> Table:
    (table,) = [table for table in tables if table.name == name]
    return table


def test_the_factor_tables_of_the_published_ablation() -> None:
    """Each published comparison appears, without anybody naming a factor: levels, numbers and order are its own."""
    found = published()
    factors = factors_of(found)
    assert [factor.name for factor in factors.factors] == list(EXPECTED)
    rows = list(factor_rows(found, TprQuality(TARGET), factors))
    for factor in factors.factors:
        (block,) = factor.blocks
        mine = [row for row in rows if row["factor"] is factor]
        assert [(level_text(row["level"]), row["point"]["tpr"]) for row in mine] == list(EXPECTED[factor.name].items())
        assert len(block.models) == len(mine)
        best = max(EXPECTED[factor.name].values())
        assert [row["is_best"] for row in mine] == [tpr == best for tpr in EXPECTED[factor.name].values()]
    assert factors.notes == ()


def test_without_replicates_no_difference_is_called_real() -> None:
    """The publication has no replicates, so its differences are given and whether they are real is unknown."""
    tables = factor_tables(published(), TprQuality(TARGET))
    loss = texts(named(tables, "factor-loss"))
    assert [row["tag.loss"] for row in loss] == ["arc", "cos", "softmax"]
    assert [row["difference"] for row in loss] == ["-0.0300", "best", "-0.1210"]
    assert [row["verdict"] for row in loss] == ["unknown", "-", "unknown"]
    assert "unknown: there is no interval (no replicates in the results)" in named(tables, "factor-loss").notes
    effects = values(named(tables, "effects"))
    assert {row["tpr_verdict"] for row in effects} == {row["auroc_verdict"] for row in effects} == {"unknown"}
    assert {row["n_real"] for row in effects} == {None}
    (norm,) = [row for row in effects if row["factor"] == "norm"]
    assert (norm["a"], norm["b"], norm["n_higher"], norm["blocks"]) == ("bn", "ln", 1, 1)
    assert norm["tpr_difference"] == pytest.approx(0.784 - 0.721)
    assert norm["auroc_difference"] == pytest.approx(0.9968 - 0.992)
    pairs = {name: len(levels) * (len(levels) - 1) // 2 for name, levels in EXPECTED.items()}
    pairs["classes and recipe"] = 3  # the other three differ in the recipe alone
    assert {name: sum(1 for row in effects if row["factor"] == name) for name in pairs} == pairs


def test_a_factor_table_has_the_columns_of_an_ablation() -> None:
    """Values of the factor, model, TPR, difference, AUROC and cost; what all share stands below, once."""
    table = named(factor_tables(published(), TprQuality(TARGET)), "factor-dim-res")
    assert [column.name for column in table.shown] == [
        *("tag.dim", "tag.res", "model", "tpr", "difference", "verdict", "auroc", "gflops", "size_mb"),
    ]
    assert "all with backbone=lcnet050, norm=ln, loss=cos, classes=390144, recipe=Indoor, variant=-" in table.notes, (
        table.notes
    )


def test_the_long_table_has_a_row_for_each_place_of_a_model() -> None:
    """For machines: every factor, block and model in one table, with all tags and numbers."""
    rows = values(factors_table(published(), TprQuality(TARGET)))
    assert len(rows) == sum(len(levels) for levels in EXPECTED.values())
    (row,) = [row for row in rows if row["factor"] == "variant" and row["level"] == "gap"]
    assert row["model"] == "lcnet050-f256-r128-ln-cos-gap"
    assert (row["tag.variant"], row["tag.loss"], row["tpr"], row["size_mb"]) == ("gap", "cos", 0.480, 2.67)
    assert row["difference"] == pytest.approx(0.480 - 0.784)
    assert row["fixed"] == "backbone=lcnet050, dim=256, res=128, norm=ln, loss=cos, classes=390144, recipe=Indoor"


def flagged() -> Found:
    """Return two losses, one of them with a TPR that rests on a handful of pairs."""
    runs = [evaluation(loss, tpr, 0.9) for loss, tpr in (("arc", 0.5), ("cos", 0.6))]
    runs[1]["result"]["points"][0]["flags"] = ["few_errors"]
    return found_in([entry(loss, {"loss": loss}) for loss in ("arc", "cos")], runs)


def test_a_flagged_number_is_not_compared_in_silence() -> None:
    """Beside each verdict stands which side rests on few pairs, and below it what that means."""
    tables = factor_tables(flagged(), TprQuality(TARGET))
    (effect,) = texts(named(tables, "effects"))
    assert (effect["flags_a"], effect["flags_b"]) == ("-", "few_errors")
    assert [row["flags"] for row in texts(named(tables, "factor-loss"))] == ["-", "few_errors"]
    for table in tables:
        assert f"few_errors: {MEANING['few_errors']}" in table.notes
        assert any(column.name.startswith("flags") for column in table.shown)


# Structure


def find(tags: Tags) -> Factors:
    return find_factors(tags, list(dict.fromkeys(key for of in tags.values() for key in of)))


def summary(factors: Factors) -> set[tuple[frozenset[str], frozenset[tuple[frozenset[Any], frozenset[Any]]]]]:
    """Return what does not depend on any order: by factor, the fixed tags and the levels with their models."""
    return {
        (
            frozenset(factor.tags),
            frozenset(
                (
                    frozenset(block.fixed.items()),
                    frozenset(
                        (frozenset(zip(factor.tags, level, strict=True)), frozenset(models))
                        for level, models in block.levels.items()
                    ),
                )
                for block in factor.blocks
            ),
        )
        for factor in factors.factors
    }


def oracle(tags: Tags, keys: Sequence[str]) -> dict[frozenset[str], set[frozenset[str]]]:
    """Return, by factor, the pairs of models that differ in it alone: pair by pair, from the definition."""

    def column(key: str) -> list[str | None]:
        return [of.get(key) for of in tags.values()]

    def differing(a: str, b: str, of: Sequence[str]) -> set[str]:
        return {key for key in of if tags[a].get(key) != tags[b].get(key)}

    varying = [key for key in keys if len(set(column(key))) > 1]
    serial = [key for key in varying if len(set(column(key))) == len(tags)]
    others = [key for key in varying if key not in serial]
    pairs = list(itertools.combinations(tags, 2))
    if serial and others:
        varying = others
    differences = [differing(*pair, varying) for pair in pairs]
    along = {key: {other for other in varying if all(key in d for d in differences if other in d)} for key in varying}
    masters = {key for key in varying if not any(key in along[other] and other not in along[key] for other in varying)}
    found: dict[frozenset[str], set[frozenset[str]]] = {}
    for key in masters:
        alone = {frozenset(pair) for pair, d in zip(pairs, differences, strict=True) if d and d <= along[key]}
        if alone:
            found[frozenset(along[key])] = alone
    return found


@st.composite
def some_tags(draw: st.DrawFn) -> Tags:
    """Draw models with few tags of few values, some of them absent."""
    keys = draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True))
    value = st.sampled_from([None, "x", "y", "2", "10"])
    rows = draw(st.lists(st.tuples(*(value for _ in keys)), min_size=1, max_size=9))
    return {
        f"m{i}": {key: found for key, found in zip(keys, row, strict=True) if found is not None}
        for i, row in enumerate(rows)
    }


@given(some_tags())
def test_blocks_hold_the_pairs_that_differ_in_a_factor_alone(tags: Tags) -> None:
    """Against the definition, pair by pair: no pair is missed, and none differs in anything else."""
    keys = list(dict.fromkeys(key for of in tags.values() for key in of))
    expected = oracle(tags, keys)
    found = {frozenset(factor.tags): factor for factor in find(tags).factors}
    assert len(found) == len(find(tags).factors)
    assert expected.keys() <= found.keys()
    for names, factor in found.items():
        pairs = {
            frozenset((a, b))
            for block in factor.blocks
            for one, other in itertools.combinations(block.levels.values(), 2)
            for a in one
            for b in other
        }
        assert pairs
        assert names not in expected or pairs == expected[names]
        for block in factor.blocks:
            for level, models in block.levels.items():
                for model in models:
                    assert tuple(tags[model].get(key) for key in factor.tags) == level
                    assert {key: tags[model].get(key) for key in block.fixed} == block.fixed


@given(some_tags(), st.randoms(use_true_random=False))
def test_the_order_of_models_and_tags_does_not_matter(tags: Tags, random: Any) -> None:
    """The same models in another order, with their tags in another order, have the same factors."""
    models = list(tags.items())
    random.shuffle(models)
    keys = list(dict.fromkeys(key for of in tags.values() for key in of))
    before = find(tags)
    random.shuffle(keys)
    after = find_factors(dict(models), keys)
    assert summary(before) == summary(after)
    assert len(before.notes) == len(after.notes)


def test_tags_that_follow_from_another_go_along_with_it() -> None:
    """Backbones of several families are compared with each other, though the family is a tag of its own."""
    families = {"r18": "resnet", "r50": "resnet", "vit": "transformer"}
    tags = {f"{b}-{n}": {"backbone": b, "family": f, "norm": n} for b, f in families.items() for n in ("ln", "bn")}
    factors = find(tags)
    assert [factor.name for factor in factors.factors] == ["backbone and family", "norm"]
    assert [len(factor.blocks) for factor in factors.factors] == [2, 3]
    assert factors.notes == ("family goes along with backbone and is compared with it",)


def test_a_value_that_nothing_is_compared_with_is_named() -> None:
    """A model that differs from all others in two tags or more is in no table, and the notes say so."""
    tags = {"m1": "ln arc x", "m2": "ln cos x", "m3": "bn arc x", "m4": "gn triplet y", "m5": "bn arc y"}
    factors = find({name: dict(zip(("norm", "loss", "data"), of.split(), strict=True)) for name, of in tags.items()})
    assert [factor.name for factor in factors.factors] == ["norm", "norm and loss", "loss", "data"]
    assert factors.notes == ()
    more = {**tags, "m6": "gn2 pair z"}
    notes = find({n: dict(zip(("norm", "loss", "data"), of.split(), strict=True)) for n, of in more.items()}).notes
    lone = {"norm": "gn2", "loss": "pair", "data": "z"}
    assert notes == tuple(
        f"{key} {value}: no other model differs from these in {key} alone" for key, value in lone.items()
    )


def test_a_serial_number_is_no_factor() -> None:
    """A tag that tells all models apart beside other tags makes no table, and does not keep others from theirs."""
    tags = {
        f"{x}{y}": {"loss": x, "norm": y, "run": f"2026-{i}"} for i, (x, y) in enumerate(itertools.product("ac", "lb"))
    }
    assert [factor.name for factor in find(tags).factors] == ["loss", "norm"]
    seeds = {f"{x}{i}": {"loss": x, "seed": f"{x}{i}"} for x in "ac" for i in range(2)}
    (factor,) = find(seeds).factors
    assert factor.name == "loss"
    assert factor.blocks[0].levels == {("a",): ("a0", "a1"), ("c",): ("c0", "c1")}
    assert find(seeds).notes == (
        "seed is another for every model: it is taken for a name, and models that differ in it alone count as equal",
        "equal in all tags that are compared, each against the models of other levels: a0 = a1, c0 = c1",
    )
    names = {f"m{i}": {"name": f"m{i}"} for i in range(MOST_LEVELS + 1)}
    assert find(names).factors == ()
    assert "the leaderboard is its table" in find(names).notes[0]


def test_one_tag_that_varies_is_the_factor() -> None:
    """Three losses and nothing else: each model has a loss of its own, and that is what is compared."""
    (factor,) = find({loss: {"loss": loss, "norm": "ln"} for loss in ("arc", "cos", "softmax")}).factors
    assert factor.name == "loss"
    assert factor.blocks[0].fixed == {}


def test_models_of_equal_tags_share_a_level() -> None:
    """Two trainings of one configuration are both compared with each model that differs from them in one tag."""
    tags = {"a1": {"loss": "arc"}, "a2": {"loss": "arc"}, "c": {"loss": "cos"}}
    (factor,) = find(tags).factors
    assert factor.blocks[0].levels == {("arc",): ("a1", "a2"), ("cos",): ("c",)}


def test_nothing_to_compare_says_so() -> None:
    """Where no two models differ in a tag alone, that is said; without tags that vary there is nothing to say."""
    far = {"".join(values): dict(zip("abc", values, strict=True)) for values in ("000", "110", "101", "011")}
    assert find(far) == Factors((), tuple(f"no two models differ in {key} alone" for key in "abc"))
    assert find({"m": {"a": "1"}, "n": {"a": "1"}}) == Factors((), ())
    assert find({"m": {}, "n": {}}) == Factors((), ())
    assert factor_tables(found_in([entry("m", {})], [evaluation("m", 0.5, 0.9)]), TprQuality(TARGET)) == []


# Numbers


def grid(replicates: Mapping[str, Sequence[float]] | None = None) -> Found:
    """Return two losses with three norms each: cos is 0.1 better than arc wherever both are."""
    tprs = {
        f"{loss}-{norm}": base + shift for loss, base in (("arc", 0.5), ("cos", 0.6)) for norm, shift in NORMS.items()
    }
    models = [entry(name, dict(zip(("loss", "norm"), name.split("-"), strict=True))) for name in tprs]
    of = replicates or {}
    return found_in(models, [evaluation(name, tpr, 0.9 + tpr / 100, of.get(name)) for name, tpr in tprs.items()])


NORMS = {"bn": 0.0, "gn": 0.01, "ln": 0.02}


def noise(scale: float) -> dict[str, list[float]]:
    """Return replicates of `grid`: what all models share, and noise of each."""
    rng = np.random.default_rng(7)
    shared = rng.normal(0, 0.02, 20)
    return {
        f"{loss}-{norm}": list(base + shift + shared + rng.normal(0, scale, 20))
        for loss, base in (("arc", 0.5), ("cos", 0.6))
        for norm, shift in NORMS.items()
    }


def test_the_mean_over_blocks_has_the_interval_of_its_own_replicates() -> None:
    """Blocks are on the same images, so their mean is estimated anew without each group: no interval is made up."""
    replicates = noise(0.002)
    table = named(factor_tables(grid(replicates), TprQuality(TARGET)), "effects")
    (row,) = [row for row in table.rows if row["factor"].name == "loss"]
    arc, cos = ([np.array(replicates[f"{loss}-{norm}"]) for norm in NORMS] for loss in ("arc", "cos"))
    expected = difference(0.61, 0.51, list(np.mean(cos, 0)), list(np.mean(arc, 0)))
    assert expected is not None
    assert row["tpr"]["difference"] == pytest.approx(0.1)
    assert row["tpr"]["ci"] == pytest.approx([expected.low, expected.high])
    assert (row["n_blocks"], row["n_pairs"], row["n_higher"], row["n_known"], row["n_real"]) == (3, 3, 3, 3, 3)
    shown = next(row for row in texts(table) if row["factor"] == "loss")
    assert (shown["n_higher"], shown["n_real"], shown["tpr_verdict"]) == ("3 of 3", "3 of 3", "real")


def test_noise_is_not_called_real() -> None:
    """Where replicates scatter more than models differ, neither a pair nor the mean is certain."""
    effects = texts(named(factor_tables(grid(noise(0.05)), TprQuality(TARGET)), "effects"))
    assert {row["tpr_verdict"] for row in effects} == {"not certain"}
    assert next(row for row in effects if row["factor"] == "loss")["n_real"] == "0 of 3"


def test_each_block_has_its_own_best() -> None:
    """Blocks are numbered, ordered by what they share, and each is against its own best model."""
    table = named(factor_tables(grid(noise(0.002)), TprQuality(TARGET)), "factor-loss")
    rows = texts(table)
    assert [(row["block"], row["tag.norm"], row["tag.loss"]) for row in rows] == [
        (str(i), norm, loss) for i, norm in enumerate(NORMS, 1) for loss in ("arc", "cos")
    ]
    assert [row["difference"] == "best" for row in rows] == [False, True] * 3
    assert [row["verdict"] for row in rows] == ["real", "-"] * 3
    strong = [column.strong(row) for row in table.rows for column in table.columns if column.name == "tpr"]
    assert strong == [False, True] * 3


def test_a_model_without_a_tpr_is_shown_without_a_difference() -> None:
    """Undefined stays undefined: no best where nothing is known, no difference to what is not there."""
    tprs: dict[str, float | None] = {"arc": None, "cos": 0.5, "softmax": 0.4}
    models = [entry(name, {"loss": name}) for name in tprs]
    found = found_in(models, [evaluation(name, tpr, 0.9) for name, tpr in tprs.items()])
    rows = texts(named(factor_tables(found, TprQuality(TARGET)), "factor-loss"))
    assert [(row["tpr"], row["difference"]) for row in rows] == [
        *(("- (no genuine)", "-"), ("0.5000", "best"), ("0.4000", "-0.1000")),
    ]
    elsewhere = factor_tables(found, TprQuality(0.5))
    assert {row["difference"] for row in texts(named(elsewhere, "factor-loss"))} == {"-"}
    assert named(elsewhere, "effects").rows == []


def test_failed_models_take_no_part() -> None:
    """What failed has no number to compare; the factors are those of the models that worked."""
    models = [entry(name, {"loss": name}) for name in ("arc", "cos", "bad")]
    worked = [evaluation(name, 0.5, 0.9) for name in ("arc", "cos")]
    failed = {**evaluation("bad", 0.5, 0.9), "status": "failed", "result": None, "error": {"kind": "x", "message": "y"}}
    assert [factor.levels for factor in factors_of(found_in(models, [*worked, failed])).factors] == [
        [("arc",), ("cos",)]
    ]


def test_many_levels_are_compared_with_the_usual_one() -> None:
    """A tag of forty values has 39 comparisons, not 780, and the table says with which."""
    models = {f"{i}": {"epoch": f"{i}", "norm": "ln"} for i in range(40)} | {"bn": {"epoch": "7", "norm": "bn"}}
    found = found_in([entry(n, t) for n, t in models.items()], [evaluation(n, 0.5, 0.9) for n in models])
    table = named(factor_tables(found, TprQuality(TARGET)), "effects")
    rows = [row for row in values(table) if row["factor"] == "epoch"]
    assert len(rows) == 39
    assert {row["a"] for row in rows} == {"0"}
    assert "epoch has 40 values: each is compared with 0" in table.notes
