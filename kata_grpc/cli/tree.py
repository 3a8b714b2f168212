"""`kata-grpc tree`: contexts and their forks, drawn in the terminal or as Mermaid."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict
from kata.context.v1 import context_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.lineage_pb2 import LineageContext
from rich.text import Text
from rich.tree import Tree

from kata_grpc.cli.listing import one_line, output
from kata_grpc.cli.remote import Remote, add_connection_arguments
from kata_grpc.limits import MAX_PAGE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from kata.context.v1.context_pb2 import Context, Tag
    from rich.console import Console

    from kata_grpc.cli import Commands

DESCRIPTION = """\
Draw a context with what it comes from and everything that was forked from it, or all contexts with --all. A fork shows
the version at which it left its parent and what it has since; tags stand with their versions; soft-deleted contexts are
shown as such, without tags."""

_SHORT_ID = 8
_MERMAID = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;"})
"""What would end a label or be taken for markup in it."""


@dataclass(slots=True)
class Node:
    """A context in the tree; `more` says that not all of its forks are below it."""

    context: LineageContext
    tags: Sequence[Tag] = ()
    forks: list[Node] = field(default_factory=list)
    more: bool = False


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("tree", description=DESCRIPTION)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("context_id", metavar="CONTEXT_ID", nargs="?")
    what.add_argument("--all", action="store_true", help="every context, deleted ones included")
    parser.add_argument("--forks", type=int, default=50, metavar="N", help="of each context; default 50, 0 for all")
    parser.add_argument("--ids", action="store_true", help="ids in full")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--mermaid", action="store_true", help="as a Mermaid flowchart")
    form.add_argument("--json", action="store_true", help="one JSON object a line and context, parents first")
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read the tree and print it."""
    remote = Remote.of(args)
    most = args.forks or sys.maxsize
    with remote.channel() as channel, remote.refusals():
        stub = ContextServiceStub(channel)
        roots = read_all(stub, most) if args.all else [read(stub, args.context_id, most)]
        for node in _walk(roots):
            if not node.context.HasField("delete_time"):
                node.tags = stub.ListTags(pb.ListTagsRequest(context_id=node.context.context_id)).tags
    if args.json:
        for node in _walk(roots):
            fields = MessageToDict(node.context)
            if node.tags:
                fields["tags"] = list(map(MessageToDict, node.tags))
            sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    elif args.mermaid:
        sys.stdout.writelines(line + "\n" for line in mermaid(roots))
    else:
        show(roots, output(), marked=args.context_id or "", full_ids=args.ids)
    return 0


def read(stub: ContextServiceStub, context_id: str, most: int) -> Node:
    """Read a context with at most so many forks of each below it, under its ancestors; return the root."""
    found = stub.GetLineage(_page(context_id, 1))
    *ancestors, own = [Node(context) for context in (*found.ancestors, found.context)]
    waiting = [(own, "")]
    while waiting:
        node, token = waiting.pop()
        page = stub.GetLineage(_page(node.context.context_id, most - len(node.forks), token))
        forks = [Node(child) for child in page.children]
        node.forks += forks
        waiting += [(fork, "") for fork in forks if fork.context.has_forks]
        node.more = bool(page.next_page_token)
        if node.more and len(node.forks) < most:
            waiting.append((node, page.next_page_token))
    line = [*ancestors, own]
    for parent, child in pairwise(line):
        parent.forks.append(child)
    return line[0]


def _page(context_id: str, most: int, token: str = "") -> pb.GetLineageRequest:
    return pb.GetLineageRequest(context_id=context_id, page_size=min(most, MAX_PAGE), page_token=token)


def read_all(stub: ContextServiceStub, most: int) -> list[Node]:
    """Read all contexts; return those whose parent is not among them, the oldest first."""
    nodes: dict[str, Node] = {}
    request = pb.ListContextsRequest(page_size=MAX_PAGE, show_deleted=True)
    while True:
        page = stub.ListContexts(request)
        nodes.update((context.context_id, Node(_of(context))) for context in page.contexts)
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    below: defaultdict[str, list[Node]] = defaultdict(list)
    for node in sorted(nodes.values(), key=lambda node: node.context.create_time.ToNanoseconds()):
        parent_id = node.context.parent_id
        below[parent_id if parent_id in nodes else ""].append(node)
    for context_id, node in nodes.items():
        node.forks, node.more = below[context_id][:most], len(below[context_id]) > most
        node.context.has_forks = bool(node.forks)
    return below[""]


def _of(context: Context) -> LineageContext:
    """Take of a context what a tree shows."""
    shown = LineageContext(
        context_id=context.context_id,
        name=context.name,
        parent_id=context.parent_id,
        depth=context.depth,
        latest_version=context.latest_version,
        latest_revision=context.latest_revision,
        total_tokens=context.total_tokens,
        create_time=context.create_time,
    )
    if context.parent_id:
        shown.fork_version, shown.fork_revision = context.fork_version, context.fork_revision
    if context.HasField("delete_time"):
        shown.delete_time.CopyFrom(context.delete_time)
    return shown


def _walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Yield every node before its forks."""
    waiting = list(roots)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.forks)


def show(roots: Iterable[Node], console: Console, *, marked: str = "", full_ids: bool = False) -> None:
    """Draw the trees; the line of one context may be marked."""
    for root in roots:
        tree = Tree(_label(root, marked, full_ids), guide_style="dim")
        waiting = [(root, tree)]
        while waiting:
            node, branch = waiting.pop()
            waiting += [(fork, branch.add(_label(fork, marked, full_ids))) for fork in node.forks]
            if node.more:
                branch.add(Text("… more forks; --forks 0 shows all", "dim"))
        console.print(tree, soft_wrap=True)


def _label(node: Node, marked: str, full_ids: bool) -> Text:
    context = node.context
    identity = context.context_id if full_ids else context.context_id[:_SHORT_ID]
    label = Text()
    if context.name:
        label.append(one_line(context.name), "bold").append("  ")
    label.append(identity, "cyan").append("  ").append(_size(context))
    for tag in node.tags:
        label.append("  ").append(_tag(tag), "magenta")
    if context.HasField("delete_time"):
        label.append("  deleted", "red")
    if context.context_id == marked:
        label.append("  ◀", "bold green")
    return label


def _tag(tag: Tag) -> str:
    return f"#{tag.name} at {tag.version}"


def _size(context: LineageContext) -> str:
    """Say what a context has, of a fork beyond what it has of its parent."""
    own = context.latest_version - context.fork_version
    at = f"at {context.fork_version}: +" if context.HasField("fork_version") else ""
    return f"{at}{own} {'message' if own == 1 else 'messages'}, {context.total_tokens:,} tokens"


def mermaid(roots: Iterable[Node]) -> Iterator[str]:
    """Yield the lines of a flowchart; the number at an edge is the version at which a fork left its parent."""
    yield "flowchart LR"
    deleted = []
    for node in _walk(roots):
        context = node.context
        name = one_line(context.name).translate(_MERMAID)
        tags = [_tag(tag).translate(_MERMAID) for tag in node.tags]
        lines = [*([name] if name else []), context.context_id[:_SHORT_ID], _size(context), *tags]
        yield f'  {_key(context)}["{"<br>".join(lines)}"]'
        if context.HasField("delete_time"):
            deleted.append(_key(context))
        for fork in node.forks:
            yield f"  {_key(context)} -->|{fork.context.fork_version}| {_key(fork.context)}"
        if node.more:
            yield f"  {_key(context)} --> {_key(context)}more[…]"
    if deleted:
        yield "  classDef deleted stroke-dasharray: 5 5,color:#888"
        yield f"  class {','.join(deleted)} deleted"


def _key(context: LineageContext) -> str:
    return "c" + context.context_id.replace("-", "")
