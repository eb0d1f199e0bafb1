"""Mutants of a module: copies with one small mistake each, of the kind that people make.

Only pure modules are worth it, whose tests are fast. What a mutant changes is named by the function it stands in and
by the text before and after, so that a list of known mutants outlives changes elsewhere in the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
# What no test can see: annotations, the words of an error that tells of a mistake in the code, decorators.
BLIND_FIELDS = {"annotation", "returns", "decorator_list", "exc"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed module: where, what stood there, what stands there now, and its whole source."""

    line: int
    function: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """The same in any version of the module that has this function and text."""
        return f"{self.function}: `{self.before}` -> `{self.after}`"


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module: what is not changed stays as it is written."""
    tree, lines = ast.parse(source), source.splitlines(keepends=True)
    siblings = _siblings(tree)
    for site in list(_sites(tree, tree, "")):
        before = _head(site.statement)
        for other in _others(site.node, siblings):
            site.put(other)
            after = _head(other if site.node is site.statement else site.statement)
            yield Mutant(site.statement.lineno, site.function, before, after, _written(lines, site.statement, after))
        site.put(site.node)


def _written(lines: list[str], statement: ast.stmt, head: str) -> str:
    """Return a module with another text for a statement, or for its head where it has a body."""
    body: list[ast.stmt] = getattr(statement, "body", [])
    end = body[0].lineno - 1 if body and head != "pass" else statement.end_lineno
    first = lines[statement.lineno - 1]
    is_elif = first.lstrip().startswith("elif ")
    changed = f"{first[: statement.col_offset]}{'el' if is_elif else ''}{head}\n"
    return "".join([*lines[: statement.lineno - 1], changed, *lines[end:]])


@dataclass(frozen=True, slots=True)
class Site:
    """Something that may be changed: where it hangs in the tree, in which statement, and in which function."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    statement: ast.stmt
    function: str

    def put(self, node: ast.AST) -> None:
        """Put another node in its place."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def _sites(parent: ast.AST, statement: ast.AST, function: str) -> Iterator[Site]:
    for name, value in ast.iter_fields(parent):
        if name in BLIND_FIELDS:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_blind(node):
                continue
            inner = function
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inner = f"{function}.{node.name}".strip(".")
            holder = node if isinstance(node, ast.stmt) else statement
            if isinstance(node, ast.stmt | ast.expr) and isinstance(holder, ast.stmt):
                yield Site(parent, name, index, node, holder, inner)
            yield from _sites(node, holder, inner)


def _is_blind(node: ast.AST) -> bool:
    """Whether it is a docstring, an import, or a list of slots."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id in ("__slots__", "__all__")
    return isinstance(node, ast.Import | ast.ImportFrom)


def _others(node: ast.AST, siblings: dict[str, ast.expr]) -> Iterator[ast.AST]:
    """Yield what may stand in a node's place."""
    if isinstance(node, ast.expr):
        yield from _other_expressions(node, siblings)
    elif isinstance(node, ast.Return):
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield type(node)(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Assign | ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield ast.Pass()
        if isinstance(node, ast.AugAssign) and type(node.op) in COUNTED:
            yield ast.AugAssign(node.target, COUNTED[type(node.op)](), node.value)


def _other_expressions(node: ast.expr, siblings: dict[str, ast.expr]) -> Iterator[ast.expr]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARED.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in COMPARED.get(type(op), ()):
                yield ast.Compare(node.left, [*node.ops[:index], other(), *node.ops[index + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for index in range(len(node.values)):
            left = [*node.values[:index], *node.values[index + 1 :]]
            yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in COUNTED:
        yield ast.BinOp(node.left, COUNTED[type(node.op)](), node.right)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED:
        yield ast.Call(ast.Name(CALLED[node.func.id]), node.args, node.keywords)
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, _other_constants(node.value))
    elif isinstance(node, ast.Attribute | ast.Name) and (name := ast.unparse(node)) in siblings:
        yield siblings[name]


def _other_constants(value: object) -> Iterator[bool | float | str]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        yield value - 1
    elif isinstance(value, str):
        yield value + "x"


def _siblings(tree: ast.Module) -> dict[str, ast.expr]:
    """Return for each constant of others the one that stands in its place.

    Constants have siblings: the members of a class that the module names (`State.IDLE`), what one import brings.
    """
    found: dict[str, dict[str, ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr.isupper():
            found.setdefault(node.value.id, {})[ast.unparse(node)] = node
        elif isinstance(node, ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
            found["." * node.level + (node.module or "")] = {name: ast.Name(name) for name in names if name.isupper()}
    return {
        name: list(group.values())[index - 1]
        for group in found.values()
        if len(group) > 1
        for index, name in enumerate(group)
    }


def _head(statement: ast.AST) -> str:
    """Return a statement as one line: without its body, where it has one."""
    if isinstance(statement, ast.If | ast.While):
        statement = type(statement)(statement.test, [ast.Pass()], [])
    elif isinstance(statement, ast.FunctionDef):
        statement = ast.FunctionDef(statement.name, statement.args, [ast.Pass()], [], statement.returns)
    return ast.unparse(ast.fix_missing_locations(statement)).splitlines()[0]
