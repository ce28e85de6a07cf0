package sock

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Errno is a system error number; 0 means that the call succeeded. It is an
// error, but is passed by its own type so that hot paths compare it without
// boxing.
type Errno = unix.Errno

// The numbers that callers tell apart, see errno(3).
const (
	EAGAIN        = unix.EAGAIN
	EINTR         = unix.EINTR
	EMFILE        = unix.EMFILE
	ENFILE        = unix.ENFILE
	ENOBUFS       = unix.ENOBUFS
	ENOMEM        = unix.ENOMEM
	ENOENT        = unix.ENOENT
	EPIPE         = unix.EPIPE
	EINVAL        = unix.EINVAL
	EPERM         = unix.EPERM
	EACCES        = unix.EACCES
	EADDRINUSE    = unix.EADDRINUSE
	EADDRNOTAVAIL = unix.EADDRNOTAVAIL
	EAFNOSUPPORT  = unix.EAFNOSUPPORT
	ECONNABORTED  = unix.ECONNABORTED
	ECONNREFUSED  = unix.ECONNREFUSED
	ECONNRESET    = unix.ECONNRESET
	EHOSTUNREACH  = unix.EHOSTUNREACH
	ENOTCONN      = unix.ENOTCONN
	ENETUNREACH   = unix.ENETUNREACH
	ETIMEDOUT     = unix.ETIMEDOUT
)

// Name is the symbolic name of errno, for example ECONNRESET, and empty for 0.
func Name(errno Errno) string {
	if errno == 0 {
		return ""
	}
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return errno.Error()
}

// ErrnoOf is the number inside err, and 0 when there is none.
func ErrnoOf(err error) Errno {
	var errno Errno
	errors.As(err, &errno)
	return errno
}
