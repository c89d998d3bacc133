"""A regular package, so that the one which gmqtt installs under the same name never hides it."""
