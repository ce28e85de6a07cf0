// Package intercept knows how connections are captured: it tells where a
// captured connection wanted to go, and notices when the daemon has captured
// its own connections. It is the only package that knows; the capture rules
// themselves are in intercept/rules.
//
//	destination, err := intercept.Redirect.OriginalDestination(fd, peer)
//	trail, sure := guard.Trail(peer, destination)
//	if trail.Turns(listener) >= mode.Turns() { ... } // our own connection, again and again
package intercept
