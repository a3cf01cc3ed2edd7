"""The problems that can prevent a video: what each one means, and what to do about it. Pure.

`diagnosis` finds the problem in Google's answer; `backends.probe` finds it if there is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aveo3 import verdicts


class CheckStep(StrEnum):
    """The steps of a check, in the order in which they can fail."""

    SETTINGS = "settings"
    ADDRESS = "address"
    CREDENTIALS = "credentials"
    PROJECT = "project"
    MODEL = "model"
    BUCKET = "bucket"
    QUOTA = "quota"


class Problem(StrEnum):
    """Every problem that a check can find, as one stable word."""

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
class CheckTarget:
    """What a check tested: the values that the sentences of a `Remedy` name."""

    backend: str
    model: str
    address: str
    project: str | None = None
    location: str | None = None
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """One row: the step that fails, what is wrong, and the way out. `gemini` replaces the way out on the Gemini API."""

    step: CheckStep
    what: str
    way_out: str
    gemini: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of one check. `said` holds the words of Google or of the network."""

    problem: Problem
    step: CheckStep
    what: str
    way_out: str
    said: str = ""


_LOG_IN = "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's file"
_SURFACES = (
    "A key from AI Studio works with the Gemini API only: to use it, unset GOOGLE_CLOUD_PROJECT and set "
    "VEO3_BACKEND=gemini. A key for Vertex AI (express mode) works without a project only. With a project, log in: "
    + _LOG_IN
    + "."
)
_AI_STUDIO = "make a key at https://aistudio.google.com/apikey, in a project with billing"

REMEDIES: Mapping[Problem, Remedy] = {
    # -- network and address -------------------------------------------------------------------------------------------
    Problem.NO_NAME: Remedy(
        CheckStep.ADDRESS,
        "DNS does not find the host of {address}",
        "Check the internet connection and VEO3_BASE_URL. On Vertex AI, check GOOGLE_CLOUD_LOCATION, too: it is part "
        "of the host's name ({location}; Veo is in us-central1).",
        gemini="Check the internet connection, and VEO3_BASE_URL if it is set.",
    ),
    Problem.REFUSED: Remedy(
        CheckStep.ADDRESS,
        "no server listens at {address} (connection refused)",
        "Start the server (`aveo3 mock-server`, a gateway), or correct or unset VEO3_BASE_URL. If the address is "
        "Google's, check for a firewall in between.",
    ),
    Problem.NO_ROUTE: Remedy(
        CheckStep.ADDRESS,
        "there is no connection to {address}",
        "Check the network, and whether a firewall or VPN blocks it. If your network needs a proxy, set HTTPS_PROXY.",
    ),
    Problem.TLS: Remedy(
        CheckStep.ADDRESS,
        "the certificate of {address} is not trusted (TLS)",
        "If an office proxy decrypts traffic, set SSL_CERT_FILE, and REQUESTS_CA_BUNDLE for the login, to a file with "
        "its certificate and the usual ones. If the server speaks plain HTTP, use http:// in VEO3_BASE_URL.",
    ),
    Problem.OUT_OF_DATE: Remedy(
        CheckStep.ADDRESS,
        "the certificate of {address} is expired or not valid yet by this machine's clock",
        "Set the clock (turn on time synchronisation). If the clock is right, the server's owner must renew the "
        "certificate.",
    ),
    Problem.PROXY: Remedy(
        CheckStep.ADDRESS,
        "the proxy does not connect to {address}",
        "Check HTTPS_PROXY and HTTP_PROXY (address, user, password), or add the host to NO_PROXY.",
    ),
    Problem.TIMEOUT: Remedy(
        CheckStep.ADDRESS,
        "{address} did not answer in time",
        "Try again. If it happens again, check for a firewall that drops packets, or for a proxy that HTTPS_PROXY has "
        "to name.",
    ),
    Problem.DROPPED: Remedy(
        CheckStep.ADDRESS,
        "{address} closed the connection without an answer",
        "Try again. If it happens again, a proxy, firewall or gateway in between cuts connections.",
    ),
    Problem.REDIRECTED: Remedy(
        CheckStep.ADDRESS,
        "{address} redirects to another address, and aveo3 sends credentials only to addresses that you set",
        "Set VEO3_BASE_URL to the new address if it is right. Networks that ask for a login first redirect, too.",
    ),
    Problem.NOT_GOOGLE: Remedy(
        CheckStep.ADDRESS,
        "the server at {address} is not Google's API",
        "Check VEO3_BASE_URL. Networks that ask for a login first answer like this, too.",
    ),
    Problem.NOTHING_THERE: Remedy(
        CheckStep.ADDRESS,
        "{address} answers, but does not have this API",
        "Check VEO3_BASE_URL, VEO3_API_VERSION (v1, v1beta1) and GOOGLE_CLOUD_LOCATION ({location}; Veo is in "
        "us-central1).",
        gemini="Check VEO3_BASE_URL and VEO3_API_VERSION (v1 or v1beta).",
    ),
    Problem.AWAY: Remedy(
        CheckStep.ADDRESS,
        "the service is unavailable",
        "Your settings are not the cause: try again later. https://status.cloud.google.com lists outages.",
    ),
    # -- credentials ---------------------------------------------------------------------------------------------------
    Problem.CLOCK: Remedy(
        CheckStep.CREDENTIALS,
        "this machine's clock is wrong, so Google does not accept its signed login",
        "Set the clock (turn on time synchronisation), then check again.",
    ),
    Problem.NO_TOKEN: Remedy(
        CheckStep.CREDENTIALS,
        "the login gets no token: it has expired, is revoked, or its account was deleted",
        "Log in again: " + _LOG_IN + ".",
    ),
    Problem.TOKEN_SERVER: Remedy(
        CheckStep.CREDENTIALS,
        "Google's token server cannot be reached",
        "Check the network: the login calls https://oauth2.googleapis.com (on a Google Cloud machine: its metadata "
        "server).",
    ),
    Problem.LOGIN_REFUSED: Remedy(
        CheckStep.CREDENTIALS,
        "Google does not accept the login",
        "Log in again: " + _LOG_IN + ". If that does not help, compare this machine's clock with the real time.",
        gemini="The Gemini API needs an API key: " + _AI_STUDIO + ", and set GEMINI_API_KEY.",
    ),
    Problem.SCOPES: Remedy(
        CheckStep.CREDENTIALS,
        "the login does not allow this API: its access scopes are too narrow",
        "Log in with `gcloud auth application-default login`, or give the machine the scope cloud-platform.",
    ),
    Problem.BAD_KEY: Remedy(
        CheckStep.CREDENTIALS,
        "the API key is not valid: it is misspelt, deleted or expired",
        "Copy GOOGLE_API_KEY again, without spaces or quotes. " + _SURFACES,
        gemini="Copy GEMINI_API_KEY again, without spaces or quotes, or " + _AI_STUDIO + ". A key for Vertex AI "
        "(express mode) needs VEO3_BACKEND=vertex.",
    ),
    Problem.NO_KEYS: Remedy(
        CheckStep.CREDENTIALS,
        "Vertex AI does not accept this API key",
        _SURFACES,
        gemini="The Gemini API needs an API key: " + _AI_STUDIO + ", and set GEMINI_API_KEY.",
    ),
    Problem.KEY_ELSEWHERE: Remedy(
        CheckStep.CREDENTIALS,
        "the API key may not use {service}: it is restricted to other APIs",
        _SURFACES + " Or allow {service} for this key at https://console.cloud.google.com/apis/credentials.",
        gemini="A key for Vertex AI (express mode) needs VEO3_BACKEND=vertex. Otherwise " + _AI_STUDIO + ", or allow "
        "{service} for this key at https://console.cloud.google.com/apis/credentials.",
    ),
    Problem.KEY_RESTRICTED: Remedy(
        CheckStep.CREDENTIALS,
        "the API key is restricted to certain web pages, addresses or apps, and aveo3 here is none of them",
        "Change its application restrictions at https://console.cloud.google.com/apis/credentials, or use another key.",
    ),
    Problem.TWO_CREDENTIALS: Remedy(
        CheckStep.CREDENTIALS,
        "Google reports several credentials in the request, but aveo3 sent one",
        "In October 2026 this happened with keys that begin with AQ.: the videos were made and billed, but could not "
        "be polled. Use another key before you pay for anything: " + _AI_STUDIO + ".",
    ),
    # -- project -------------------------------------------------------------------------------------------------------
    Problem.API_DISABLED: Remedy(
        CheckStep.PROJECT,
        "{service} is not enabled in {whose}",
        "Enable it at {link} and check again in a few minutes.",
        gemini="Enable it at {link} and check again in a few minutes. If this is a key for Vertex AI (express mode), "
        "set VEO3_BACKEND=vertex instead.",
    ),
    Problem.BILLING: Remedy(
        CheckStep.PROJECT,
        "{whose} has no billing account, or its account is closed",
        "Link a billing account at {link} and check again in a few minutes.",
    ),
    Problem.CREDITS: Remedy(
        CheckStep.PROJECT,
        "the prepaid credits of {whose} are used up",
        "Buy credits at https://ai.studio/projects or in the Google Cloud console.",
    ),
    Problem.PERMISSION: Remedy(
        CheckStep.PROJECT,
        "the account may not use Vertex AI in {whose}, or there is no such project",
        "Check GOOGLE_CLOUD_PROJECT (the project's ID, not its name). Then ask an owner to grant Vertex AI User: "
        "gcloud projects add-iam-policy-binding {project} --member=user:YOU@EXAMPLE.COM --role=roles/aiplatform.user "
        "(for a service account, --member=serviceAccount:…).",
        gemini="The key's project may not use the Gemini API. To get another key, " + _AI_STUDIO + ".",
    ),
    Problem.NO_PROJECT: Remedy(
        CheckStep.PROJECT,
        "Google does not find the project {project}",
        "Check GOOGLE_CLOUD_PROJECT (the project's ID, not its name), and use VEO3_API_VERSION=v1.",
        gemini="The key's project does not exist. To get another key, " + _AI_STUDIO + ".",
    ),
    Problem.QUOTA_PROJECT: Remedy(
        CheckStep.PROJECT,
        "the login charges its requests to a project that the account may not use",
        "Run `gcloud auth application-default set-quota-project {project}`, or ask an owner of that project to grant "
        "the account the role roles/serviceusage.serviceUsageConsumer.",
    ),
    Problem.SUSPENDED: Remedy(
        CheckStep.PROJECT,
        "Google has suspended {whose}",
        "No setting helps. See Google's e-mail to the project's owner, and https://console.cloud.google.com.",
    ),
    Problem.POLICY: Remedy(
        CheckStep.PROJECT,
        "a policy of your organisation forbids this request",
        "Ask its administrator about VPC Service Controls, organisation policies (such as vertexai.allowedModels), and "
        "the locations allowed for resources ({location}).",
    ),
    Problem.COUNTRY: Remedy(
        CheckStep.PROJECT,
        "Google does not offer this in your country, or only with billing",
        "Enable billing for the project, or use a server (not a VPN with changing locations) in a country that "
        "https://ai.google.dev/gemini-api/docs/available-regions lists.",
        gemini="Enable billing for the key's project in AI Studio, or use Vertex AI, or use a server (not a VPN with "
        "changing locations) in a country that https://ai.google.dev/gemini-api/docs/available-regions lists.",
    ),
    Problem.PRECONDITION: Remedy(
        CheckStep.PROJECT,
        "{whose} does not meet a condition of this request",
        "Do what Google's words below say. The usual cause is missing billing.",
    ),
    # -- model and bucket ----------------------------------------------------------------------------------------------
    Problem.NO_MODEL: Remedy(
        CheckStep.MODEL,
        "{model} is not available for {whose} in {location}",
        "Check VEO3_MODEL (`aveo3 models` lists all models) and GOOGLE_CLOUD_LOCATION: Veo is in us-central1. If the "
        "project has no access, ask for it in Model Garden: https://console.cloud.google.com/vertex-ai/model-garden",
        gemini="Check VEO3_MODEL (`aveo3 models` lists all models) and VEO3_API_VERSION (v1 or v1beta). Veo is on "
        "Vertex AI only.",
    ),
    Problem.RETIRED: Remedy(
        CheckStep.MODEL,
        "Google has shut {model} down",
        "Choose another with VEO3_MODEL: `aveo3 models` lists all models.",
    ),
    Problem.NO_QUOTA: Remedy(
        CheckStep.MODEL,
        "the quota of {whose} for {model} is 0",
        "Ask for quota at https://console.cloud.google.com/iam-admin/quotas, or use another model or project.",
        gemini="Enable billing for the key's project (videos have no free tier), or use another model or project.",
    ),
    Problem.BUSY: Remedy(
        CheckStep.MODEL,
        "Google answers 429: too many requests, from you or from all its customers",
        "Your credentials are not the cause. Wait a minute and check again; `aveo3 generate` waits by itself.",
    ),
    Problem.BUCKET: Remedy(
        CheckStep.BUCKET,
        "aveo3 cannot read {bucket}, so it could not download the videos from there",
        "Do what the words below say, or unset VEO3_OUTPUT_GCS_URI to get the videos without a bucket.",
    ),
    Problem.UNKNOWN: Remedy(
        CheckStep.MODEL,
        "aveo3 does not know this answer of Google's",
        "Google's own words below are the only hint.",
    ),
}

CONSOLE_LINK = re.compile(r"https://console\.[\w./?=&%-]+[\w/]")
"""A page of Google's console. It is printed as it is, so it holds nothing that a terminal obeys."""

_SERVICES = {"vertex": "aiplatform.googleapis.com", "gemini": "generativelanguage.googleapis.com"}


def explain(problem: Problem, target: CheckTarget, body: Any = None, said: str = "") -> Finding:
    """The row of `problem`, filled in for `target`.

    `body` is Google's answer; it may name a service and a link. `said` replaces its message, if there is no answer.
    """
    remedy = REMEDIES[problem]
    detail = next(iter(verdicts.reasons_of(body).values()), {})
    message = verdicts.message_of(body)
    whose = f"project {target.project}" if target.project else "the API key's project"
    keyed = "the Gemini API" if target.backend == "gemini" else "express mode"
    words = {
        "address": target.address,
        "model": target.model,
        "project": target.project or "PROJECT",
        "location": target.location if target.location and target.project else keyed,
        "bucket": target.bucket or "",
        "whose": whose,
        "service": str(detail.get("service") or _SERVICES.get(target.backend, "this API")),
        "link": _link(detail, message, target, problem),
    }
    way_out = remedy.gemini if remedy.gemini and target.backend == "gemini" else remedy.way_out
    return Finding(problem, remedy.step, remedy.what.format(**words), way_out.format(**words), said or message)


def _link(detail: Mapping[str, Any], message: str, target: CheckTarget, problem: Problem) -> str:
    """The page that Google names for the problem, else the usual page. Only links to Google's console are passed on."""
    if isinstance(url := detail.get("activationUrl"), str) and CONSOLE_LINK.fullmatch(url):
        return url
    if match := CONSOLE_LINK.search(message):
        return match[0]
    project = f"?project={target.project}" if target.project else ""
    if problem is Problem.BILLING:
        return f"https://console.cloud.google.com/billing/linkedaccount{project}"
    return f"https://console.cloud.google.com/apis/library/{_SERVICES.get(target.backend, '')}{project}"
