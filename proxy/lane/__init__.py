"""Plain exchanges without a task: what the reference path does, done at once where nothing has to be waited for.

A connection begins here. A request that is not plain hands it over to the reference path, before anything is done; an
exchange that is no longer plain (a failure, a wait, a cut) is taken over by a task, which goes on with it as it stands.
"""
