// go get github.com/standard-webhooks/standard-webhooks/libraries@v0.0.1
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var (
	verifiers []*standardwebhooks.Webhook // after a rotation: of the new secret and of the old one
	inbox     = cmp.Or(os.Getenv("INBOX"), "inbox")
	limit     = int64(4 << 20)
	isName    = regexp.MustCompile(`^[\w-]{1,64}$`).MatchString
)

func isGenuine(body []byte, headers http.Header) bool {
	for _, verifier := range verifiers {
		if verifier.Verify(body, headers) == nil {
			return isName(headers.Get("webhook-id"))
		}
	}
	return false
}

func receive(response http.ResponseWriter, request *http.Request) {
	// 2xx: delivered. 410: the relay disables the endpoint. 429, 503: it waits for Retry-After. Others: it retries.
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, limit)) // the raw bytes: verify, then parse
	if err != nil {
		response.WriteHeader(http.StatusRequestEntityTooLarge)
	} else if !isGenuine(body, request.Header) {
		response.WriteHeader(http.StatusUnauthorized)
	} else if err := keep(request.Header.Get("webhook-id"), body); err != nil {
		response.WriteHeader(http.StatusInternalServerError)
	} else {
		response.WriteHeader(http.StatusNoContent)
	}
}

func keep(id string, body []byte) error {
	if _, err := os.Stat(filepath.Join(inbox, "done", id)); err == nil {
		return nil // a duplicate is answered 204, too
	}
	part := filepath.Join(inbox, fmt.Sprint(rand.Uint64(), ".part"))
	if err := os.WriteFile(part, body, 0o600); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(inbox, "new", id))
}

func work(file string) error { // run one worker: it processes each webhook-id once, and tries again what failed
	done := filepath.Join(inbox, "done", filepath.Base(file))
	if _, err := os.Stat(done); err != nil {
		body, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := handle(body); err != nil {
			return err
		}
		if err := os.WriteFile(done, nil, 0o600); err != nil {
			return err
		}
	}
	return os.Remove(file)
}

func handle(body []byte) error { // your code: write the row `Key` if `Revision` is higher than what you have
	var event struct { // other fields are ignored
		Type string
		Data struct {
			Key, RowId string // texts, and they stay so
			Revision   int64
			Trigger    map[string]any
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // numbers keep their digits
	err := decoder.Decode(&event)
	talked, _ := event.Data.Trigger["bridgeDuration"].(json.Number) // a text if Infinity sent something else
	seconds, _ := talked.Float64()
	answered := "-"
	if event.Data.Trigger["callStage"] == "bridge" || seconds > 0 {
		answered = "answered"
	}
	fmt.Println(event.Type, event.Data.Key, event.Data.Revision, answered)
	return err
}

func main() {
	for _, secret := range strings.Fields(os.Getenv("WEBHOOK_SECRETS")) {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			log.Fatal(err)
		}
		verifiers = append(verifiers, verifier)
	}
	for _, name := range []string{"new", "done"} {
		if err := os.MkdirAll(filepath.Join(inbox, name), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	server := http.Server{Addr: "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "9000"), Handler: http.HandlerFunc(receive)}
	server.ReadTimeout = 20 * time.Second
	go func() { log.Fatal(server.ListenAndServe()) }()
	for ; ; time.Sleep(time.Second) {
		files, _ := filepath.Glob(filepath.Join(inbox, "new", "*"))
		for _, file := range files {
			if err := work(file); err != nil {
				log.Printf("%s failed: %v", file, err)
			}
		}
	}
}
