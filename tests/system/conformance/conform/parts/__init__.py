from conform.parts.value import VERSION as VERSION
