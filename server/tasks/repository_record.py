"""The user's repository of a worktree as the store records it, and as git's commands take it."""

from server.runner.git.repository import Repository
from storage.records.workspaces import RepositoryRecord


def recorded(repository: Repository) -> RepositoryRecord:
    """Return the record of a repository."""
    return RepositoryRecord(
        git=repository.git,
        objects=repository.objects,
        top=repository.top,
        inside=repository.inside,
        base=repository.base,
        format=repository.format,
        has_submodules=repository.has_submodules,
    )


def repository_of(record: RepositoryRecord) -> Repository:
    """Return the repository of a record."""
    return Repository(
        git=record.git,
        objects=record.objects,
        top=record.top,
        inside=record.inside,
        base=record.base,
        format=record.format,
        has_submodules=record.has_submodules,
    )
