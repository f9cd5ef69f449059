/*
 * garp - tells the neighbours of an interface that an address is here now, as
 * keepalived does when a virtual address moves: gratuitous ARP (RFC 5227,
 * section 3), once as a request and once as a reply, broadcast.
 *
 * Usage:  garp INTERFACE ADDRESS
 * It prints when it has done so, in ns of CLOCK_MONOTONIC.
 * Build:  gcc -std=c11 -O2 -Wall -Wextra -o garp garp.c
 * Needs CAP_NET_RAW.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

static void
die(const char *what)
{
	fprintf(stderr, "garp: %s: %s\n", what, strerror(errno));
	exit(1);
}

int
main(int argc, char **argv)
{
	static const unsigned short operations[] = { ARPOP_REQUEST, ARPOP_REPLY };
	struct ifreq interface;
	struct in_addr address;
	struct ether_arp arp;
	struct sockaddr_ll to;
	struct timespec done;
	int s;

	memset(&interface, 0, sizeof(interface));
	if (argc != 3 || strlen(argv[1]) >= sizeof(interface.ifr_name) ||
	    inet_aton(argv[2], &address) == 0) {
		fprintf(stderr, "usage: garp INTERFACE ADDRESS\n");
		return 2;
	}
	strcpy(interface.ifr_name, argv[1]);
	s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP));
	if (s < 0)
		die("socket");
	if (ioctl(s, SIOCGIFHWADDR, &interface) != 0)
		die(argv[1]);
	memset(&arp, 0, sizeof(arp));
	arp.arp_hrd = htons(ARPHRD_ETHER);
	arp.arp_pro = htons(ETH_P_IP);
	arp.arp_hln = ETH_ALEN;
	arp.arp_pln = sizeof(address);
	memcpy(arp.arp_sha, interface.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(arp.arp_spa, &address, sizeof(address));
	memcpy(arp.arp_tpa, &address, sizeof(address));
	memset(&to, 0, sizeof(to));
	to.sll_family = AF_PACKET;
	to.sll_protocol = htons(ETH_P_ARP);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	to.sll_halen = ETH_ALEN;
	memset(to.sll_addr, 0xff, ETH_ALEN);
	for (unsigned i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		arp.arp_op = htons(operations[i]);
		if (sendto(s, &arp, sizeof(arp), 0, (struct sockaddr *)&to,
		    sizeof(to)) != sizeof(arp))
			die("sendto");
	}
	clock_gettime(CLOCK_MONOTONIC, &done);
	printf("%lld\n", (long long)done.tv_sec * 1000000000 + done.tv_nsec);
	return 0;
}
