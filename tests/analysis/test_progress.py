from iclviz.analysis.progress import listening, steps


def test_every_step_is_told_before_it_is_handed_out():
    told = []
    with listening(lambda *step: told.append(step)):
        handed = [(thing, len(told)) for thing in steps("abc", "spelling")]
    assert handed == [("a", 1), ("b", 2), ("c", 3)]
    assert told == [("spelling", 0, 3), ("spelling", 1, 3), ("spelling", 2, 3)]


def test_without_a_listener_nothing_is_told():
    told = []
    with listening(lambda *step: told.append(step)):
        pass
    assert list(steps([1, 2], "counting")) == [1, 2]
    assert not told
