// Package eventloop runs the few threads that own all connections. A Loop is
// one OS thread that waits on epoll and calls the Handlers of the descriptors
// that have something to do; whatever a handler owns is touched by that thread
// only, so it needs no lock.
//
//	loop, err := eventloop.New(eventloop.Options{})
//	go loop.Run()
//	loop.Post(func() { watch, errno = loop.Watch(fd, sock.Readable, handler, 0) })
//	...
//	loop.Stop()
//
// Nothing that runs on a loop may block: it would stall every connection there.
//
// A panic in a handler ends that handler alone (Handler.OnPanic); the loop goes
// on with the next one.
package eventloop
