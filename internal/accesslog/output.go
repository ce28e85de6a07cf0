package accesslog

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// output is an open file and, if it has one, the path to open it by again.
type output struct {
	file      *os.File
	path      string      // empty: a standard stream
	directory fs.FileInfo // that held the file when it was opened
}

// openOutput opens path for appending. A named pipe is opened for reading
// too: otherwise the call would wait for a reader (fifo(7)).
func openOutput(path string) (*output, error) {
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		flags = os.O_RDWR
	}
	file, err := os.OpenFile(path, flags, 0o640)
	if err != nil {
		return nil, err
	}
	directory, err := os.Stat(filepath.Dir(path))
	if err != nil {
		file.Close()
		return nil, err
	}
	return &output{file: file, path: path, directory: directory}, nil
}

// stranded says that the directory of the file is gone, or another one now:
// what is written to the file is lost. A file that was only renamed is not
// stranded; whoever renamed it will ask for a reopen.
func (o *output) stranded() error {
	if o.path == "" {
		return nil
	}
	directory, err := os.Stat(filepath.Dir(o.path))
	if err != nil {
		return fmt.Errorf("directory of the access log is gone: %w", err)
	}
	if !os.SameFile(directory, o.directory) {
		return fmt.Errorf("directory of the access log %s was replaced", filepath.Dir(o.path))
	}
	return nil
}

// interrupt makes a write that waits return, where the kernel can poll the
// file, as it can a pipe.
func (o *output) interrupt() { _ = o.file.SetWriteDeadline(time.Unix(1, 0)) }

// close closes the file, unless it is a standard stream: those are not ours.
func (o *output) close() {
	if o.path != "" {
		o.file.Close()
	}
}
