// Command controlplane is a Kubernetes control plane in one binary, for tests only.
//
// The first argument picks the role: etcd, kube-apiserver, kube-controller-manager or kube-scheduler; the
// others are the flags of that component. A role ends when its standard input is closed, so that nothing is
// left running when the process that started it is gone, however it ended.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) < 2 {
		fail("usage: controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler [flags]")
	}
	role := os.Args[1]
	os.Args = append([]string{role}, os.Args[2:]...)
	go endWithParent()
	if role == "etcd" {
		etcd()
		return
	}
	command, known := components[role]
	if !known {
		fail("there is no role " + role)
	}
	os.Exit(cli.Run(command()))
}

// endWithParent ends this process once nobody holds the other end of its standard input.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// etcd serves until it fails. It never waits for the disk: the data is a test's, and temporary.
func etcd() {
	folder := flag.String("data-dir", "", "folder of the data")
	clients := flag.String("client-url", "", "URL for clients")
	peers := flag.String("peer-url", "", "URL for peers, of which there are none")
	flag.Parse()
	config := embed.NewConfig()
	config.Dir = *folder
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.ListenClientUrls, config.AdvertiseClientUrls = urls(*clients), urls(*clients)
	config.ListenPeerUrls, config.AdvertisePeerUrls = urls(*peers), urls(*peers)
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		fail(err.Error())
	}
	fail((<-server.Err()).Error())
}

func urls(text string) []url.URL {
	parsed, err := url.Parse(text)
	if err != nil {
		fail(err.Error())
	}
	return []url.URL{*parsed}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
