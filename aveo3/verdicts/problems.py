"""What can be wrong between here and a video, what each means, and what to do: one row a trouble. Pure.

Which of them it is, `diagnosis` reads in Google's answer, and `backends.reach` in there being none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aveo3 import verdicts


class CheckStep(StrEnum):
    """What has to be well, in the order in which it shows."""

    SETTINGS = "settings"
    ADDRESS = "address"
    CREDENTIALS = "credentials"
    PROJECT = "project"
    MODEL = "model"
    BUCKET = "bucket"


class Problem(StrEnum):
    """What can be wrong, in one word."""

    NO_NAME = "dns"
    REFUSED = "connection_refused"
    NO_ROUTE = "no_connection"
    TLS = "tls"
    OUT_OF_DATE = "certificate_dates"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    REDIRECTED = "redirected"
    NOT_GOOGLE = "not_google"
    NOTHING_THERE = "wrong_address"
    AWAY = "unavailable"

    CLOCK = "clock"
    NO_TOKEN = "no_token"
    TOKEN_SERVER = "token_server_unreachable"
    LOGIN_REFUSED = "login_refused"
    SCOPES = "scopes"
    BAD_KEY = "bad_key"
    NO_KEYS = "key_not_taken"
    KEY_ELSEWHERE = "key_for_another_api"
    KEY_RESTRICTED = "key_restricted"
    TWO_CREDENTIALS = "two_credentials"

    API_DISABLED = "api_disabled"
    BILLING = "billing"
    CREDITS = "credits_used_up"
    PERMISSION = "permission"
    NO_PROJECT = "project_unknown"
    QUOTA_PROJECT = "quota_project"
    SUSPENDED = "suspended"
    POLICY = "policy"
    COUNTRY = "country"
    PRECONDITION = "precondition"

    NO_MODEL = "model_not_found"
    RETIRED = "model_retired"
    NO_QUOTA = "no_quota"
    BUSY = "busy"
    BUCKET = "bucket"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked whom for what: what the sentences are filled in with."""

    backend: str
    model: str
    address: str
    project: str | None = None
    location: str | None = None
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """A row: the step that is not well, what that means, and the way out; with the Gemini API, `gemini` if given."""

    step: CheckStep
    what: str
    way_out: str
    gemini: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, what it means, what to do, and what Google (or the network) said."""

    problem: Problem
    step: CheckStep
    what: str
    way_out: str
    said: str = ""


_LOG_IN = (
    "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account"
)
_SURFACES = (
    "A key from AI Studio opens the Gemini API alone: unset GOOGLE_CLOUD_PROJECT and set VEO3_BACKEND=gemini to make "
    "clips with it. A key for Vertex AI (express mode) goes without a project. With a project, log in: " + _LOG_IN + "."
)
_AI_STUDIO = "make a key at https://aistudio.google.com/apikey, in a project with billing"

REMEDIES: Mapping[Problem, Remedy] = {
    # -- the way there -------------------------------------------------------------------------------------------------
    Problem.NO_NAME: Remedy(
        CheckStep.ADDRESS,
        "the name in {address} cannot be found (DNS)",
        "Check the connection to the internet and VEO3_BASE_URL; with Vertex AI also GOOGLE_CLOUD_LOCATION, which is a "
        "part of the name ({location}; Veo is in us-central1).",
        gemini="Check the connection to the internet, and VEO3_BASE_URL if it is set.",
    ),
    Problem.REFUSED: Remedy(
        CheckStep.ADDRESS,
        "nobody listens at {address} (connection refused)",
        "Start what should be there (`aveo3 mock-server`, a gateway), or correct or unset VEO3_BASE_URL; for Google "
        "itself, look for a firewall between here and there.",
    ),
    Problem.NO_ROUTE: Remedy(
        CheckStep.ADDRESS,
        "no connection to {address} can be made",
        "Check the network, and whether a firewall or VPN lets it through; where everything goes through a proxy, set "
        "HTTPS_PROXY.",
    ),
    Problem.TLS: Remedy(
        CheckStep.ADDRESS,
        "{address} cannot be trusted (TLS)",
        "Where an office proxy reads along, point SSL_CERT_FILE to a file with its certificate and the usual ones; an "
        "address that speaks plain HTTP needs http:// in VEO3_BASE_URL.",
    ),
    Problem.OUT_OF_DATE: Remedy(
        CheckStep.ADDRESS,
        "the certificate of {address} is not valid at the time that this machine's clock shows",
        "Set the clock (turn on time synchronisation); if it is right, the certificate's owner has to renew it.",
    ),
    Problem.PROXY: Remedy(
        CheckStep.ADDRESS,
        "the proxy on the way to {address} does not let this through",
        "Check HTTPS_PROXY and HTTP_PROXY (address, user, password), or name the host in NO_PROXY.",
    ),
    Problem.TIMEOUT: Remedy(
        CheckStep.ADDRESS,
        "{address} did not answer in time",
        "Try again; if it stays so, look for a firewall that swallows packets, or a proxy that has to be named in "
        "HTTPS_PROXY.",
    ),
    Problem.DROPPED: Remedy(
        CheckStep.ADDRESS,
        "{address} hung up without an answer",
        "Try again; if it stays so, something between here and there cuts connections (proxy, firewall, gateway).",
    ),
    Problem.REDIRECTED: Remedy(
        CheckStep.ADDRESS,
        "{address} points elsewhere, and no credentials are taken along to an address that nobody has named",
        "Set VEO3_BASE_URL to where it points if that is right; a network that wants a login first does this, too.",
    ),
    Problem.NOT_GOOGLE: Remedy(
        CheckStep.ADDRESS,
        "what answers at {address} is not Google's API",
        "Check VEO3_BASE_URL; a network that wants a login first answers like this, too.",
    ),
    Problem.NOTHING_THERE: Remedy(
        CheckStep.ADDRESS,
        "{address} answers, but has no such API",
        "Check VEO3_BASE_URL, VEO3_API_VERSION (v1, v1beta1) and GOOGLE_CLOUD_LOCATION ({location}; Veo is in "
        "us-central1).",
        gemini="Check VEO3_BASE_URL and VEO3_API_VERSION (v1 or v1beta).",
    ),
    Problem.AWAY: Remedy(
        CheckStep.ADDRESS,
        "the service is in trouble",
        "Nothing is wrong here: try again later. https://status.cloud.google.com tells of outages.",
    ),
    # -- who asks ------------------------------------------------------------------------------------------------------
    Problem.CLOCK: Remedy(
        CheckStep.CREDENTIALS,
        "this machine's clock is wrong: what it signs is not valid at the time that Google's shows",
        "Set the clock (turn on time synchronisation), then check again.",
    ),
    Problem.NO_TOKEN: Remedy(
        CheckStep.CREDENTIALS,
        "the login is no longer good for a token (expired, revoked, or its account is gone)",
        "Log in again: " + _LOG_IN + ".",
    ),
    Problem.TOKEN_SERVER: Remedy(
        CheckStep.CREDENTIALS,
        "Google's server for tokens cannot be reached",
        "Check the network: the login asks https://oauth2.googleapis.com (a machine at Google: its metadata server).",
    ),
    Problem.LOGIN_REFUSED: Remedy(
        CheckStep.CREDENTIALS,
        "Google does not take the login",
        "Log in again: " + _LOG_IN + ". If that does not help, compare this machine's clock with the real time.",
        gemini="The Gemini API wants an API key: " + _AI_STUDIO + ", and set GEMINI_API_KEY.",
    ),
    Problem.SCOPES: Remedy(
        CheckStep.CREDENTIALS,
        "the login may not be used for this API: its access scopes are too narrow",
        "Log in with `gcloud auth application-default login`, or give the machine the scope cloud-platform.",
    ),
    Problem.BAD_KEY: Remedy(
        CheckStep.CREDENTIALS,
        "the API key is not valid: misspelt, deleted or expired",
        "Copy GOOGLE_API_KEY again, without spaces or quotes. " + _SURFACES,
        gemini="Copy GEMINI_API_KEY again, without spaces or quotes, or " + _AI_STUDIO + ". A key for Vertex AI "
        "(express mode) needs VEO3_BACKEND=vertex.",
    ),
    Problem.NO_KEYS: Remedy(
        CheckStep.CREDENTIALS,
        "Vertex AI does not take this API key",
        _SURFACES,
        gemini="The Gemini API wants an API key: " + _AI_STUDIO + ", and set GEMINI_API_KEY.",
    ),
    Problem.KEY_ELSEWHERE: Remedy(
        CheckStep.CREDENTIALS,
        "the API key is restricted to other APIs than {service}",
        _SURFACES + " Or allow {service} for it at https://console.cloud.google.com/apis/credentials.",
        gemini="A key for Vertex AI (express mode) needs VEO3_BACKEND=vertex. Else " + _AI_STUDIO + ", or allow "
        "{service} for this one at https://console.cloud.google.com/apis/credentials.",
    ),
    Problem.KEY_RESTRICTED: Remedy(
        CheckStep.CREDENTIALS,
        "the API key is restricted to certain web pages, addresses or apps, and this is none of them",
        "Change its application restrictions at https://console.cloud.google.com/apis/credentials, or use another key.",
    ),
    Problem.TWO_CREDENTIALS: Remedy(
        CheckStep.CREDENTIALS,
        "Google says that it was sent several credentials; it was sent one",
        "Seen in October 2026 with keys that begin with AQ.: the videos were made and billed, but could not be asked "
        "for. Use another key before anything is paid: " + _AI_STUDIO + ".",
    ),
    # -- for whom ------------------------------------------------------------------------------------------------------
    Problem.API_DISABLED: Remedy(
        CheckStep.PROJECT,
        "{service} is not enabled in {whose}",
        "Enable it at {link} and check again some minutes later.",
        gemini="Enable it at {link} and check again some minutes later. If this is a key for Vertex AI (express mode), "
        "set VEO3_BACKEND=vertex instead.",
    ),
    Problem.BILLING: Remedy(
        CheckStep.PROJECT,
        "{whose} has no billing account, or its account is closed",
        "Link one at {link} and check again some minutes later.",
    ),
    Problem.CREDITS: Remedy(
        CheckStep.PROJECT,
        "the prepaid credits of {whose} are used up",
        "Buy some, at https://ai.studio/projects or in the Google Cloud console.",
    ),
    Problem.PERMISSION: Remedy(
        CheckStep.PROJECT,
        "the account may not use Vertex AI in {whose}, or there is no such project",
        "Check GOOGLE_CLOUD_PROJECT (the project's ID, not its name). Then have an owner grant Vertex AI User: "
        "gcloud projects add-iam-policy-binding {project} --member=user:YOU@EXAMPLE.COM --role=roles/aiplatform.user "
        "(for a service account, --member=serviceAccount:…).",
        gemini="The key's project may not use the Gemini API: " + _AI_STUDIO + ".",
    ),
    Problem.NO_PROJECT: Remedy(
        CheckStep.PROJECT,
        "Google knows no project {project} for this call",
        "Check GOOGLE_CLOUD_PROJECT (the project's ID, not its name), and use VEO3_API_VERSION=v1.",
        gemini="The key belongs to no project that exists: " + _AI_STUDIO + ".",
    ),
    Problem.QUOTA_PROJECT: Remedy(
        CheckStep.PROJECT,
        "the login names a project to charge its requests to that the account may not use",
        "`gcloud auth application-default set-quota-project {project}`, or have an owner grant the account the role "
        "roles/serviceusage.serviceUsageConsumer there.",
    ),
    Problem.SUSPENDED: Remedy(
        CheckStep.PROJECT,
        "Google has suspended {whose}",
        "See its e-mail to the project's owner, and https://console.cloud.google.com; no setting helps.",
    ),
    Problem.POLICY: Remedy(
        CheckStep.PROJECT,
        "a policy of the organisation forbids this call",
        "Ask who administers it: VPC Service Controls, an organisation policy (such as vertexai.allowedModels), or the "
        "places allowed for resources ({location}).",
    ),
    Problem.COUNTRY: Remedy(
        CheckStep.PROJECT,
        "Google does not offer this where the request comes from, or not without billing",
        "Enable billing for the project, or use a server (not a VPN that moves about) in a country that "
        "https://ai.google.dev/gemini-api/docs/available-regions lists.",
        gemini="Enable billing for the key's project in AI Studio, or use a server (not a VPN that moves about) in a "
        "country that https://ai.google.dev/gemini-api/docs/available-regions lists, or Vertex AI.",
    ),
    Problem.PRECONDITION: Remedy(
        CheckStep.PROJECT,
        "{whose} is not in the state that this call wants",
        "Do what Google's words say; most often billing is missing.",
    ),
    # -- for what ------------------------------------------------------------------------------------------------------
    Problem.NO_MODEL: Remedy(
        CheckStep.MODEL,
        "{model} is not to be had for {whose} in {location}",
        "Check VEO3_MODEL (`aveo3 models` lists what there is) and GOOGLE_CLOUD_LOCATION: Veo is in us-central1. A "
        "project without access has to ask for it in Model Garden: https://console.cloud.google.com/vertex-ai/model-garden",
        gemini="Check VEO3_MODEL (`aveo3 models` lists what there is) and VEO3_API_VERSION (v1 or v1beta). Veo is on "
        "Vertex AI only.",
    ),
    Problem.RETIRED: Remedy(
        CheckStep.MODEL,
        "Google has shut {model} down",
        "Choose another with VEO3_MODEL: `aveo3 models` lists what there is.",
    ),
    Problem.NO_QUOTA: Remedy(
        CheckStep.MODEL,
        "the quota of {whose} for {model} is 0",
        "Ask for some at https://console.cloud.google.com/iam-admin/quotas, or use another model or project.",
        gemini="Enable billing for the key's project (videos have no free tier), or use another model or project.",
    ),
    Problem.BUSY: Remedy(
        CheckStep.MODEL,
        "Google answers 429: too many requests, from here or from everybody",
        "Credentials are not the reason. Wait a minute and check again; `aveo3 generate` waits by itself.",
    ),
    Problem.BUCKET: Remedy(
        CheckStep.BUCKET,
        "what is in {bucket} cannot be read: the videos that are written there could not be fetched",
        "Do what the words below say, or unset VEO3_OUTPUT_GCS_URI to have the videos with Google's answer.",
    ),
    Problem.UNKNOWN: Remedy(
        CheckStep.MODEL,
        "Google's answer is none that aveo3 knows",
        "Its own words are all there is to go by.",
    ),
}

_SERVICES = {"vertex": "aiplatform.googleapis.com", "gemini": "generativelanguage.googleapis.com"}


def explain(problem: Problem, asked: Asked, body: Any = None, said: str = "") -> Finding:
    """The row of `problem`, filled in. `body` may name a service and a link; `said` is what there is in its place."""
    remedy = REMEDIES[problem]
    told = next(iter(verdicts.reasons_of(body).values()), {})
    message = verdicts.message_of(body)
    whose = f"project {asked.project}" if asked.project else "the API key's project"
    keyed = "the Gemini API" if asked.backend == "gemini" else "express mode"
    words = {
        "address": asked.address,
        "model": asked.model,
        "project": asked.project or "PROJECT",
        "location": asked.location if asked.location and asked.project else keyed,
        "bucket": asked.bucket or "",
        "whose": whose,
        "service": str(told.get("service") or _SERVICES.get(asked.backend, "the API")),
        "link": _link(told, message, asked, problem),
    }
    way_out = remedy.gemini if remedy.gemini and asked.backend == "gemini" else remedy.way_out
    return Finding(problem, remedy.step, remedy.what.format(**words), way_out.format(**words), said or message)


def _link(told: Mapping[str, Any], message: str, asked: Asked, problem: Problem) -> str:
    """The page that Google names for it, else the one where such things are done."""
    if isinstance(named := told.get("activationUrl"), str) and named.startswith("https://console."):
        return named
    if found := re.search(r"https://console\.[\w./?=&%-]+[\w/]", message):
        return found[0]
    project = f"?project={asked.project}" if asked.project else ""
    if problem is Problem.BILLING:
        return f"https://console.cloud.google.com/billing/linkedaccount{project}"
    return f"https://console.cloud.google.com/apis/library/{_SERVICES.get(asked.backend, '')}{project}"
