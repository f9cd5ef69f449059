using NetdumpCollector.Collector.Hosting;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Cli;

/// <summary><c>serve</c>: every setting is an option of it.</summary>
internal static class ServeVerb
{
    private static readonly Documentation s_documentation = new()
    {
        Notes =
        [
            ("Settings", """
                Each is taken from the command line, else from its environment variable, else from the file
                that --config names, else it has its default. 'netdump-collector config' shows the result.
                Relative paths are relative to the working directory.
                """),
        ],
        Examples =
        [
            ("netdump-collector serve", "Receive dumps into ./dumps."),
            ("netdump-collector serve -a 192.0.2.1 -d /var/crash -i /usr/local/bin/on-dump -P /run/netdumpd.pid", "As netdumpd is started; the script runs after each dump."),
            ("netdump-collector serve --endpoint shared", "Everything on port 20023: for clients behind NAT, and servers behind a load balancer."),
            ("netdump-collector serve --allow 192.0.2.0/24 --allow 198.51.100.0/24 --deny 192.0.2.66", "Only for hosts of two networks, without one of them."),
            ("netdump-collector serve --keep auto:5 --sparse", "For a fleet: five whole dumps an hour of each panic message, the first MiB of the others; no room for pages of zeros."),
            ("netdump-collector serve --endpoint shared --takeover -a 192.0.2.10 -d /mnt/crash", "One of several nodes behind one address, with one directory: each goes on with the others' dumps."),
            ("netdump-collector serve --cluster-file /etc/netdump/cluster --store s3://crashes/lab", "A node of a fleet: all nodes' dumps are seen from each of them, and finished ones go to an object store."),
            ("NETDUMP_DIRECTORY=/srv/crash netdump-collector serve --config /etc/netdump-collector.json --log-format json", "Settings from all places, logs for a machine."),
        ],
    };

    public static DocumentedCommand Create(CommandIo io)
    {
        var command = new DocumentedCommand("serve", "Receive dumps until stopped by SIGINT or SIGTERM; always in the foreground.", s_documentation);
        var options = new SettingOptions(command, SettingsTable.All);
        command.SetAction(parseResult => ServeCommand.Run(options.Resolve(parseResult, io), io));
        return command;
    }
}
