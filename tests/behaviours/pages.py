"""The pages whose behaviours stand in the table."""

from tests.behaviours.record import Api, Page

CREATE = Page(Api.TASKS, "Create a task")
GET = Page(Api.TASKS, "Get a task")
LIST = Page(Api.TASKS, "List tasks")
APPROVE = Page(Api.TASKS, "Approve a tool call")
MESSAGES = Page(Api.TASKS, "Send a message")
HISTORY = Page(Api.TASKS, "Get the history")
STREAM = Page(Api.TASKS, "Stream events")
ARTIFACTS = Page(Api.TASKS, "Artifacts")
CANCEL = Page(Api.TASKS, "Cancel a task")
CONFIGURATION = Page(Api.TASKS, "MCP servers and projects")
WIDGET = Page(Api.TASKS, "Widget tokens")
AUTHENTICATION = Page(Api.TASKS, "Authentication and errors")

ORGANIZATION_LIST = Page(Api.ORGANIZATION, "List tasks")
ORGANIZATION_CREATE = Page(Api.ORGANIZATION, "Create a task")
ORGANIZATION_GET = Page(Api.ORGANIZATION, "Get a task")
ORGANIZATION_UPDATE = Page(Api.ORGANIZATION, "Update a task")
ORGANIZATION_DELETE = Page(Api.ORGANIZATION, "Delete a task")
ORGANIZATION_GRAPH = Page(Api.ORGANIZATION, "Get the dependency graph")

AGENT_LIST = Page(Api.AGENT, "List tasks")
AGENT_INVOKE = Page(Api.AGENT, "Invoke an agent")
AGENT_GET = Page(Api.AGENT, "Get a task")
AGENT_UPDATE = Page(Api.AGENT, "Internal status")
AGENT_STOP = Page(Api.AGENT, "Stop a task")
AGENT_DELETE = Page(Api.AGENT, "Delete a task")
AGENT_THREAD = Page(Api.AGENT, "Get the thread")
AGENT_EVENTS = Page(Api.AGENT, "Events and approvals")

PAGES = tuple(page for page in vars().values() if isinstance(page, Page))
"""All of them, in the order in which they are shown."""
