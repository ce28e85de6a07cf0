// Package sock owns sockets, pipes and epoll at the level of descriptors and
// system calls. It is the only place of the daemon that makes raw socket
// calls, so that every Linux-only fact stands in one fenced folder.
//
// Every socket made here is non-blocking and close-on-exec. Calls that move
// bytes (Read, Write, Splice) go to the kernel by RawSyscall, without telling
// the Go scheduler: they never block, and telling it costs as much as the call
// (docs/decisions/0001-event-loops.md). They return an Errno, not an error, so
// that the hot path allocates nothing.
//
//	fd, err := sock.Listen(addr, sock.ListenOptions{ReusePort: true})
//	conn, peer, errno := sock.Accept(fd)
//	n, errno := sock.Read(conn, buf)
//	sock.Close(conn)
//
// A descriptor belongs to whoever called the function that made it, until it
// is handed to Close, Reset, or another owner named in that owner's comment.
package sock
