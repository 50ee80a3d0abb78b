"""What may a campaign say?  The document's shape; how stages fit together is in wiring.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from jobs.spec.document import Document
from jobs.spec.errors import PathKey, Problem, path_text
from jobs.spec.resources import Count, Duration, Fraction, Model, Positive, Resources, Retries
from jobs.spec.serving import Address, Argument, ArgumentValue, ModelName, Variable
from jobs.spec.structural import structural

API_VERSION = "rprm.dev/v1alpha1"
DEFAULT_TIMEOUT_S = 24 * 3600.0
DEFAULT_TRACKING_URI = "sqlite:///.rprm/mlflow.db"
_SECRET_WORDS = ("secret", "password", "token", "credential", "accesskey", "accountkey")

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
"""A DNS-1123 label, because it becomes part of Kubernetes names and of folder names."""

RUN_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
AXIS_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
INPUT_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
FORMS = {
    NAME_PATTERN: "write lower-case letters, digits and '-', such as 'sft-long'",
    RUN_PATTERN: "write module:Class, such as 'rprm.stages.sft:Sft'",
    AXIS_PATTERN: "write a param's name, such as 'rows' or 'optim.lr'",
    INPUT_PATTERN: "write letters, digits, '_' and '-', such as 'cases'",
}
"""What a person should write where a pattern does not fit."""

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
EntryPoint = Annotated[str, Field(pattern=RUN_PATTERN, max_length=253)]
Axis = Annotated[str, Field(pattern=AXIS_PATTERN, max_length=63)]
InputName = Annotated[str, Field(pattern=INPUT_PATTERN, max_length=63)]
Coordinate = str | bool | int | float
Params = dict[str, Any]
Kind = Literal["map", "gang", "single"]


def _named(value: object) -> object:
    """`cases: world` is short for `cases: {stage: world}`."""
    return {"stage": value} if isinstance(value, str) else value


def _modelled(value: object) -> object:
    """`model: org/name` is short for `model: {name: org/name}`."""
    if not isinstance(value, str | dict):
        raise ValueError("a model is a folder, a Hub id, models:/NAME@champion, or {stage: NAME}")
    return {"name": value} if isinstance(value, str) else value


def _without_secrets(options: dict[str, str]) -> dict[str, str]:
    for key in options:
        if any(word in key.lower().replace("_", "").replace("-", "") for word in _SECRET_WORDS):
            raise ValueError(
                f"{key!r} looks like a credential; credentials come from the environment"
            )
    return options


def _coordinate(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("a coordinate is text, a number, true or false")
    return value


# One check instead of a union, whose every member would report a problem of its own.
AnyCoordinate = Annotated[Coordinate, PlainValidator(_coordinate), WithJsonSchema({})]
AxisValues = Annotated[tuple[AnyCoordinate, ...], Field(min_length=1, max_length=1000)]
Where = dict[Axis, AnyCoordinate]
Options = Annotated[dict[str, StrictStr], AfterValidator(_without_secrets)]


class Selection(Model):
    """Instances of one stage; `where` pins coordinates."""

    stage: StrictStr
    where: Where = Field(default_factory=dict)


class Input(Model):
    """What a stage reads: one of `stage`, `gather` or `carry`."""

    stage: StrictStr | None = None
    """Name of a stage; of a stage in rounds also with a round, such as dpo@1."""
    where: Where = Field(default_factory=dict)
    gather: tuple[Annotated[Selection, BeforeValidator(_named)], ...] | None = Field(
        default=None, min_length=1
    )
    """Everything these stages expand to, as one list."""
    carry: StrictStr | None = None
    """In rounds: the name of a value that each round hands to the next."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [self.stage is not None, self.gather is not None, self.carry is not None]
        if sum(given) != 1:
            raise ValueError("an input is exactly one of stage, gather and carry")
        if self.where and self.stage is None:
            raise ValueError("where belongs to a stage; inside gather, put it beside that stage")
        return self


class Defaults(Model):
    """What holds for every stage that does not say otherwise."""

    resources: Resources = Resources()
    retries: Retries = Retries()
    error_budget: Fraction = 0.0
    timeout_s: Duration = Field(default=DEFAULT_TIMEOUT_S, alias="timeout")


class Stage(Model):
    """One step of the campaign: a Python entry point, its params and its inputs."""

    name: Name
    run: EntryPoint
    """module:Class"""
    kind: Kind | None = None
    """Taken from the class when absent."""
    params: Params = Field(default_factory=dict)
    inputs: dict[InputName, Annotated[Input, BeforeValidator(_named)]] = Field(default_factory=dict)
    over: StrictStr | None = None
    """map: the input whose rows are sharded; the first one when absent."""
    shards: Positive | None = None
    rows_per_shard: Positive | None = None
    sweep: dict[Axis, AxisValues] = Field(default_factory=dict)
    """Axis to values; the stage expands to every combination."""
    fleets: dict[InputName, Name] = Field(default_factory=dict)
    """Role of a model in the stage to the fleet that runs it.  Where the stage names no model of
    that role, it is the fleet's."""
    resources: Resources = Resources()
    retries: Retries = Retries()
    error_budget: Fraction | None = None
    """The part of the rows that may be error rows."""
    timeout_s: Duration | None = Field(default=None, alias="timeout")
    """Of one attempt."""


class Carry(Model):
    """A value handed from round to round."""

    start: Annotated[Selection, BeforeValidator(_named)]
    """What the first round gets: a stage outside of the rounds."""
    next: StrictStr
    """What every further round gets: this stage of the round before."""


class Rounds(Model):
    """A block of stages that is repeated, each time on the results of the round before."""

    name: Name
    count: Annotated[int, Field(strict=True, ge=1, le=100)]
    carry: dict[InputName, Carry] = Field(default_factory=dict)
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=1000)]


class FleetModel(Model):
    """What a fleet serves: what a text names, or the model that a stage trains."""

    name: ModelName | None = None
    """A folder, org/name@revision, or models:/NAME@champion."""
    stage: StrictStr | None = None
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.name is None) == (self.stage is None):
            raise ValueError("a fleet's model is text, or {stage: NAME}")
        if self.where and self.stage is None:
            raise ValueError("where belongs to a stage")
        return self


class Fleet(Model):
    """Replicas that serve a model: vLLM servers that we start, or what answers at a url."""

    name: Name
    role: Literal["judge", "policy", "teacher"]
    model: Annotated[FleetModel, BeforeValidator(_modelled)] | None = None
    """None: those that its callers name, each in replicas of its own, as is every instance of a
    swept stage's model."""
    engine: dict[Argument, ArgumentValue] = Field(default_factory=dict)
    """vLLM's own arguments, with _ for -."""
    min_replicas: Count = 0
    """From when a running stage first needs the fleet until none needs it any more."""
    max_replicas: Positive = 1
    resources: Resources = Resources()
    """Of one replica."""
    idle_timeout_s: Duration = Field(default=30.0, alias="idleTimeout")
    """How long it is kept while no running stage needs it but a later one will."""
    start_deadline_s: Duration = Field(default=900.0, alias="startDeadline")
    """A replica that is not ready by then failed to start."""
    drain_deadline_s: Duration = Field(default=300.0, alias="drainDeadline")
    """How long a replica that is no longer needed may finish what it has."""
    url: Address | None = None
    """Of servers that nobody here starts or stops."""
    key_env: Variable | None = None
    """With a url: the name of the environment variable that holds their key."""


class Store(Model):
    """Where artifacts live."""

    url: Annotated[StrictStr, Field(min_length=1)] = ".rprm/store"
    """A local folder, or s3://, gs:// or az:// and a bucket."""
    options: Annotated[dict[str, StrictStr], AfterValidator(_without_secrets)] = Field(
        default_factory=dict
    )
    """Options of the object store such as endpoint and region; never credentials."""


class Tracking(Model):
    """Where metrics and models are tracked."""

    uri: Annotated[StrictStr, Field(min_length=1)] = DEFAULT_TRACKING_URI
    """An MLflow tracking URI; none turns tracking off."""
    experiment: Annotated[StrictStr, Field(min_length=1)] | None = None
    """The campaign's name when absent."""

    @property
    def is_on(self) -> bool:
        return self.uri != "none"


class Metadata(Model):
    name: Name
    namespace: Name | None = None
    labels: dict[str, StrictStr] = Field(default_factory=dict)
    annotations: dict[str, StrictStr] = Field(default_factory=dict)


class Spec(Model):
    store: Store = Store()
    tracking: Tracking = Tracking()
    defaults: Defaults = Defaults()
    fleets: Annotated[tuple[Fleet, ...], Field(max_length=100)] = ()
    stages: Annotated[tuple[Stage, ...], Field(max_length=1000)] = ()
    rounds: Annotated[tuple[Rounds, ...], Field(max_length=100)] = ()


class Campaign(Model):
    """One file, one graph of stages; the same document is a Kubernetes resource."""

    api_version: Literal["rprm.dev/v1alpha1"]
    kind: Literal["Campaign"]
    metadata: Metadata
    spec: Spec
    _document: Document = PrivateAttr(default_factory=lambda: Document(source="campaign"))

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def experiment(self) -> str:
        return self.spec.tracking.experiment or self.metadata.name

    @property
    def source(self) -> str:
        """The file it was read from."""
        return self._document.source

    def read_from(self, document: Document) -> Self:
        """The same campaign, knowing its lines, so that later problems can name them."""
        copied = self.model_copy()
        copied._document = document
        return copied

    def problem(self, path: PathKey, message: str, suggestion: str = "") -> Problem:
        """A problem at a place of the document this campaign came from."""
        if self._document.lines:
            return self._document.problem(path, message, suggestion)
        return Problem(self._document.source, 0, path_text(path), message, suggestion)


def campaign_schema() -> dict[str, Any]:
    """The document's JSON Schema: no references, and structural in the sense of Kubernetes."""
    return structural(Campaign.model_json_schema(by_alias=True))
