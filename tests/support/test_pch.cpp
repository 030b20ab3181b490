// Empty on purpose: the target of this file exists to own the precompiled header that the tests share.
