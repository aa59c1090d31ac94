"""What tasks on samples have in common."""

from lab import BaseTask


class SampleTask(BaseTask):
    """A task that makes no sense without samples."""

    def validate(self) -> bool:
        """Refuse to run without samples."""
        if not self.samples:
            raise ValueError(f"{type(self).__name__} needs at least one sample")
        return True
