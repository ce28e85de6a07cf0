// Package accesslog writes one line for each connection, or for each moment
// of its life that the configuration asks for.
//
//	files := accesslog.NewFiles(log)
//	logger, err := files.Logger(chain.AccessLog) // when a configuration is built
//	if logger.Wants(config.LogEnd) {
//		logger.Log(config.LogEnd, &record) // on any loop; never waits for a disk
//	}
//	files.Reopen()   // SIGUSR1
//	files.Close(ctx) // at exit: what is buffered is written
//
// Lines are JSON, Istio's text line, or a string with Envoy's %OPERATORS%.
// What clients can choose (server name, application protocol, TLVs of a PROXY
// header) is escaped and cut in all of them: nobody forges a line.
package accesslog
