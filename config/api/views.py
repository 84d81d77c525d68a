"""The API's own pages: its OpenAPI document and the page that browses it."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.api import schema  # noqa: F401 - importing registers how tokens are described


class SchemaView(SpectacularAPIView):
    """The OpenAPI 3.1 document. Public: it tells what can be asked, not what the answer is."""

    throttle_classes = ()


class DocsView(SpectacularSwaggerSplitView):
    """The page that browses it; scripts and styles come from this site only, so the strict CSP holds."""

    template_name = "api/docs.html"
    throttle_classes = ()
