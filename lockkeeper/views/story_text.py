"""The story of one Workflow in sentences, with what would help as a list."""

from lockkeeper.views.terminal import Terminal, lines
from policy.core.cluster_view.story import Story


def story_text(story: Story, terminal: Terminal) -> str:
    """Return the answer first, then the reasons, then what would help."""
    options = [terminal.sentence(each.text, indent="  - ") for each in story.options]
    return lines(
        (
            *(terminal.sentence(each) for each in story.sentences),
            "what would help:" if options else "",
            *options,
        )
    )
