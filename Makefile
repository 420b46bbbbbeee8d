# Installs what cargo has built: the runtime, containerd's shim, manual pages and completions.
#
#   make && sudo make install            to /usr/local
#   make install DESTDIR=pkg PREFIX=/usr for a package

PREFIX ?= /usr/local
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
RUNTIME = target/release/runsc-rs
SHIM = target/release/containerd-shim-runsc-rs-v1

all:
	cargo static
	cargo build --release --package shim

install:
	install -D -m 755 $(RUNTIME) $(BIN)/runsc-rs
	install -D -m 755 $(SHIM) $(BIN)/containerd-shim-runsc-rs-v1
	$(RUNTIME) man $(SHARE)/man/man8
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(RUNTIME) completions bash >$(SHARE)/bash-completion/completions/runsc-rs
	$(RUNTIME) completions zsh >$(SHARE)/zsh/site-functions/_runsc-rs
	$(RUNTIME) completions fish >$(SHARE)/fish/vendor_completions.d/runsc-rs.fish

uninstall:
	rm -f $(BIN)/runsc-rs $(BIN)/containerd-shim-runsc-rs-v1 $(SHARE)/man/man8/runsc-rs*.8
	rm -f $(SHARE)/bash-completion/completions/runsc-rs $(SHARE)/zsh/site-functions/_runsc-rs
	rm -f $(SHARE)/fish/vendor_completions.d/runsc-rs.fish

.PHONY: all install uninstall
