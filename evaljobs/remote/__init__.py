"""Objects on S3: where they are, and how they are read and written.

`is_remote` and `locate` are pure and light; the rest is in `evaljobs.remote.objects`. Credentials and the endpoint come
from the environment or from roles alone, as every AWS tool finds them (AWS_ACCESS_KEY_ID, AWS_PROFILE,
AWS_ENDPOINT_URL, ...).
"""

from evaljobs.remote.uri import AnyPath, is_remote, locate

__all__ = ["AnyPath", "is_remote", "locate"]
