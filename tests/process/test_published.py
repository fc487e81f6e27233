"""What `check` and `run` say where installing would stop a subscriber."""

from __future__ import annotations

import pytest

from tests.kit.scene import Scene


@pytest.mark.parametrize("install", ["auto", "manual"])
def test_a_publication_of_all_tables(scene: Scene, install: str) -> None:
    """Both refuse it, in the same words; `check` does not say that `run` will do it."""
    scene.set(triggers={"install": install})
    scene.admin("CREATE PUBLICATION everything FOR ALL TABLES")
    check = scene.start("check")
    check.expect_exit(2)
    assert "error: the publication everything is FOR ALL TABLES" in check.output
    assert "`listener run` installs them" not in check.output
    assert "run `listener triggers install`" not in check.output
    run = scene.start()
    run.expect_exit(2)
    assert "run `listener triggers install`" not in run.log
    assert "the publication everything is FOR ALL TABLES" in run.log
    [row] = scene.admin("SELECT to_regnamespace('listener') IS NULL")
    assert row[0]
    scene.admin("DROP PUBLICATION everything")
    if install == "manual":
        scene.start("triggers", "install").expect_exit(0)
    scene.serve().stop()
    scene.admin("CREATE PUBLICATION everything FOR ALL TABLES")
    check = scene.start("check")
    check.expect_exit(0)
    assert "warning: the publication everything is FOR ALL TABLES" in check.output


def test_rows_of_ours_that_are_hidden(scene: Scene) -> None:
    """No more than `check` can say of it: what `run` ends with."""
    scene.serve().stop()
    scene.admin("ALTER TABLE listener.meta ENABLE ROW LEVEL SECURITY")
    scene.admin("ALTER TABLE listener.meta FORCE ROW LEVEL SECURITY")
    check = scene.start("check")
    check.expect_exit(2)
    assert "row-level security is on for meta of the schema listener" in check.output
    assert "`listener run` installs them" not in check.output
    run = scene.start()
    run.expect_exit(2)
    assert "row-level security is on for meta" in run.log
