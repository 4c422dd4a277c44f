"""Argo's versions are read from tags, and each says which form of `synchronization` it knows."""

from itertools import pairwise

import pytest

from policy.core.objects.argo_version import ArgoVersion


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4.1", ArgoVersion(4, 1)),
        ("v4.1.2", ArgoVersion(4, 1)),
        ("3.6.10", ArgoVersion(3, 6)),
        (" v3.5.0\n", ArgoVersion(3, 5)),
        ("v3.7.0-rc1", ArgoVersion(3, 7)),
        ("v4.0.0+build.5", ArgoVersion(4, 0)),
        ("v10.12.3", ArgoVersion(10, 12)),
    ],
)
def test_a_version_is_read_from_a_tag(text: str, version: ArgoVersion) -> None:
    """With or without `v`, patch, suffix and blanks around."""
    assert ArgoVersion.parse(text) == version


@pytest.mark.parametrize("text", ["", "v", "4", "latest", "4.x", "4.1.2.3", "version 4.1", "-4.1", "4.1 rc"])
def test_what_is_no_version_is_refused_with_an_example(text: str) -> None:
    """The message shows what a version looks like."""
    with pytest.raises(ValueError, match=r"is not an Argo version; give one such as 4\.1 or v3\.6\.10$"):
        ArgoVersion.parse(text)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4", ArgoVersion(4, 1)),
        ("v3", ArgoVersion(3, 7)),
        ("4.1", ArgoVersion(4, 1)),
        ("v4.0.10", ArgoVersion(4, 0)),
        ("3.6.19", ArgoVersion(3, 6)),
    ],
)
def test_a_user_may_give_as_much_of_a_version_as_matters(text: str, version: ArgoVersion) -> None:
    """Of a major version alone the newest is meant."""
    assert ArgoVersion.parse_known(text) == version


@pytest.mark.parametrize("text", ["5", "4.2", "v4.10.0", "3.8", "2.12", "0"])
def test_a_version_that_there_is_not_is_refused_with_those_that_there_are(text: str) -> None:
    """A slip such as 4.10 for 4.1 would be taken for a later one, with all that it can do."""
    with pytest.raises(ValueError, match=r"known are 3\.0 to 3\.7 and 4\.0 to 4\.1$"):
        ArgoVersion.parse_known(text)


@pytest.mark.parametrize("text", ["", "v", "latest", "4.x", "4.1.2.3"])
def test_what_a_user_gives_in_place_of_a_version_is_refused(text: str) -> None:
    """With an example, as of a tag."""
    with pytest.raises(ValueError, match="is not an Argo version"):
        ArgoVersion.parse_known(text)


@pytest.mark.parametrize(
    ("text", "lists", "singular"),
    [
        ("3.4", False, True),
        ("3.5", False, True),
        ("3.6", True, True),
        ("3.7", True, True),
        ("4.0", True, False),
        ("4.1", True, False),
    ],
)
def test_a_version_knows_lists_single_fields_or_both(text: str, lists: bool, singular: bool) -> None:  # noqa: FBT001
    """The table of argo-workflows C.1."""
    version = ArgoVersion.parse(text)
    assert (version.reads_lists, version.reads_singular) == (lists, singular)


def test_versions_are_ordered_as_numbers_and_print_as_people_write_them() -> None:
    """3.10 is later than 3.9."""
    versions = [ArgoVersion.parse(text) for text in ("3.4", "3.9", "3.10", "4.0")]
    assert all(older < newer for older, newer in pairwise(versions))
    assert str(ArgoVersion.parse("v3.10.2")) == "3.10"
