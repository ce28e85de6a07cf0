package main

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluiceproxy/sluice/config"
)

// newLog makes the daemon's own log. Its level can be changed while it runs.
func newLog(cfg config.Log, level zap.AtomicLevel, out io.Writer) *zap.Logger {
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level.SetLevel(zap.InfoLevel) // a valid configuration has a valid level
	}
	keys := zap.NewProductionEncoderConfig()
	keys.EncodeTime = zapcore.ISO8601TimeEncoder
	keys.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(keys)
	if cfg.Format == "console" {
		encoder = zapcore.NewConsoleEncoder(keys)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), level))
}
