package playground;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * A node of Elasticsearch 8 or 9 in a plain JVM, where the usual start-up needs a full distribution.
 *
 * <p>Its arguments are the home (holds modules/) and the directory of the settings. Closes the node
 * in order on SIGTERM.
 */
public final class Launcher {

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.registerErrorListener();
        Settings home = Settings.builder().put("path.home", arguments[0]).build();
        Path config = Path.of(arguments[1]);
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(home, Map.of(), config, () -> "playground");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);

        // False: the server is on the class path, hence no Java module with exports to hand out.
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
            Map.of(),
            false);
        Node node = new Node(environment, plugins);
        node.injector().getInstance(RestController.class).registerHandler(new Greeting(node));
        CountDownLatch end = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, end), "playground-close"));
        node.start();
        end.await();
    }

    private static void close(Node node, CountDownLatch end) {
        try {
            node.prepareForClose();
            node.close();
        } catch (Exception problem) {
            problem.printStackTrace();
        } finally {
            end.countDown();
        }
    }

    /** The answer to GET / and HEAD /, by which clients recognise the product and its version. */
    private record Greeting(Node node) implements RestHandler {

        @Override
        public List<Route> routes() {
            return List.of(
                new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        public void handleRequest(RestRequest request, RestChannel channel, NodeClient client) throws Exception {
            ClusterState cluster = node.injector().getInstance(ClusterService.class).state();
            Build build = Build.current();
            XContentBuilder answer = channel.newBuilder().startObject()
                .field("name", Node.NODE_NAME_SETTING.get(node.settings()))
                .field("cluster_name", cluster.getClusterName().value())
                .field("cluster_uuid", cluster.metadata().clusterUUID())
                .startObject("version")
                .field("number", build.version())
                .field("build_flavor", build.flavor())
                .field("build_type", build.type().displayName())
                .field("build_hash", build.hash())
                .field("build_date", build.date())
                .field("build_snapshot", build.isSnapshot())
                .field("lucene_version", Version.LATEST.toString())
                .field("minimum_wire_compatibility_version", build.minWireCompatVersion())
                .field("minimum_index_compatibility_version", build.minIndexCompatVersion())
                .endObject()
                .field("tagline", "You Know, for Search")
                .endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, answer));
        }
    }
}
