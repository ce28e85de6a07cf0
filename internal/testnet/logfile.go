package testnet

import (
	"fmt"
	"io"
	"os"
)

// logFile collects the output of a process, in a file without a name. What a
// process has written is there for whoever looks, at once: out of a pipe it would
// come when some goroutine has had its turn.
type logFile struct{ file *os.File }

func newLogFile() (*logFile, error) {
	file, err := os.CreateTemp("", "testnet-log-")
	if err != nil {
		return nil, fmt.Errorf("make a file for the output of a process: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, fmt.Errorf("make a file for the output of a process: %w", err)
	}
	return &logFile{file}, nil
}

// String returns all that was written so far.
func (l *logFile) String() string {
	const most = 1 << 40
	text, err := io.ReadAll(io.NewSectionReader(l.file, 0, most))
	if err != nil {
		return fmt.Sprintf("read the output of a process: %v", err)
	}
	return string(text)
}
